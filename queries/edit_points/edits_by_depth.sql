-- How deep in a conversation messages are edited and answers generated again.
--
-- One row per turn_number. Counted are the runs that begin there, on every path: a question that
-- was asked anew twice is three runs, two of which were edited. A run was edited where an
-- alternative of the kind edit was put, later, beside a message of its input; its answer was
-- generated again where one of the kind regenerate was put beside something that the agent made.
-- The second try itself is no further run. Forks by name and compactions do not count, nor do runs
-- that a session was forked with.
--
-- read: A high edited_share in turn 1 means that people have to learn how to ask; one that grows
-- with the depth, that the agent loses the thread. Late turns are reached by few: see run_count.
--
-- act: Show examples of good first questions, or compact earlier, as the depth says. What the
-- edits at one depth say stands in `edit_text_changes` with its turn_number.
--
-- scope: store
--
-- param session_id: varchar = null
--     Only runs in this session.
-- param since: timestamptz = null
--     Ignore runs that began before this moment.
-- param until: timestamptz = null
--     Ignore runs that began at or after this moment.
-- param row_limit: bigint = null
--     Return at most this many turns, the first ones first.

with

alternatives as (
    select
        run_id,
        rank,
        coalesce(item_type, '') = 'message'
        and coalesce(role, '') <> 'assistant' as is_input,
        max(rank) filter (where kind = 'edit') over places as last_edit_rank,
        max(rank) filter (where kind = 'regenerate') over places as last_regeneration_rank
    from edit_points
    where $session_id::varchar is null or session_id = $session_id
    window places as (partition by session_id, item_before_id)
),

changes as (
    select
        run_id,
        bool_or(is_input and rank < last_edit_rank) as is_edited,
        bool_or(not is_input and rank < last_regeneration_rank) as is_regenerated
    from alternatives
    group by run_id
),

begun as (
    select
        id,
        session_id,
        turn_number
    from runs
    where
        forked_run_id is null
        and ($session_id::varchar is null or session_id = $session_id)
        and ($since::timestamptz is null or created_at >= $since)
        and ($until::timestamptz is null or created_at < $until)
)

select
    begun.turn_number,
    count(*) as run_count,
    count(distinct begun.session_id) as session_count,
    count(*) filter (where changes.is_edited) as edited_count,
    count(*) filter (where changes.is_edited) / count(*)::double as edited_share,
    count(*) filter (where changes.is_regenerated) as regenerated_count,
    count(*) filter (where changes.is_regenerated) / count(*)::double as regenerated_share
from begun
left join changes on begun.id = changes.run_id
group by begun.turn_number
order by begun.turn_number asc
limit $row_limit
