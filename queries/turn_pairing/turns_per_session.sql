-- How long conversations are, in turns.
--
-- One row per number of turns, with the sessions that have so many. A turn counts for its session
-- alone: those that a session was forked with are the other session's. What an edit replaced is
-- left out unless asked for, what a compaction archived is not. Sessions without turns are left
-- out.
--
-- read: The turn_count at which cumulative_session_share passes 0.5 is the median length of a
-- conversation. Long conversations are few and hold many of the turns: turn_share says how many.
--
-- act: Where most sessions end after one turn, read some of them with `turn_pairs`: either the
-- first answer was enough or it was none. Have long ones compacted, and see what they cost with
-- `usage_by_model`.
--
-- scope: store
--
-- param session_id: varchar = null
--     Only this session.
-- param since: timestamptz = null
--     Ignore sessions whose first turn began before this moment.
-- param until: timestamptz = null
--     Ignore sessions whose first turn began at or after this moment.
-- param include_superseded: boolean = false
--     Also turns that are no longer on their session's path, each by itself.
-- param row_limit: bigint = null
--     Return at most this many rows, the shortest conversations first.

with

-- The first items of runs. Of a turn whose answer was begun again the path shows two runs.
openings as (
    select
        session_id,
        created_at,
        if($include_superseded::boolean, item_id, turn_number) as turn
    from items
    where
        item_id = run_id
        and operation not in ('compact', 'fork')
        and ($session_id::varchar is null or session_id = $session_id)
        and ($include_superseded::boolean or is_current or is_archived)
),

conversations as (
    select
        session_id,
        count(distinct turn) as turn_count,
        min(created_at) as began_at
    from openings
    group by session_id
),

lengths as (
    select
        turn_count,
        count(*) as session_count
    from conversations
    where
        ($since::timestamptz is null or began_at >= $since)
        and ($until::timestamptz is null or began_at < $until)
    group by turn_count
)

select
    turn_count,
    session_count,
    session_count / sum(session_count) over ()::double as session_share,
    sum(session_count) over (order by turn_count asc)
    / sum(session_count) over ()::double as cumulative_session_share,
    turn_count * session_count / sum(turn_count * session_count) over ()::double as turn_share
from lengths
order by turn_count asc
limit $row_limit
