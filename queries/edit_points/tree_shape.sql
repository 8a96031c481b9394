-- How far each conversation branched, and how much of it was left behind.
--
-- One row per session that went more than one way. Lengths and depths are in items: the deepest
-- path is the longest that the session ever had, on whatever branch. Superseded is what is no
-- longer on the session's path, a branch by name that it is not on too; what a compaction took off
-- the path is archived and not superseded. A compaction begins a branch and makes no edit point.
--
-- read: Many edit points with two alternatives each are a conversation that was corrected as it
-- went; a high max_alternative_count is one place where nothing would do. A superseded_share above
-- a half means that more was thrown away than kept.
--
-- act: Read the alternatives of a session near the top with `edit_points`, and what each way led to
-- with `branch_differences`. See with `wasted_work` whose answers were thrown away.
--
-- scope: session
--
-- param session_id: varchar = null
--     Only this session.
-- param since: timestamptz = null
--     Ignore sessions that began before this moment.
-- param until: timestamptz = null
--     Ignore sessions that began at or after this moment.
-- param min_edit_point_count: bigint = 1
--     Leave out sessions with fewer edit points; 0 shows those that went one way too.
-- param row_limit: bigint = null
--     Return at most this many sessions, the most superseded items first.

with

points as (
    select
        session_id,
        coalesce(item_before_id, 0) as item_before_id,
        -- A summary that stands in the place of items is no alternative to them.
        count(*) filter (where kind <> 'compact' or rank = 1) as alternative_count,
        min(position) - 1 as fork_position,
        min(turn_number) as turn_number
    from edit_points
    where $session_id::varchar is null or session_id = $session_id
    group by session_id, coalesce(item_before_id, 0)
),

forks as (
    select
        session_id,
        count(*) as edit_point_count,
        sum(alternative_count)::bigint as alternative_count,
        max(alternative_count) as max_alternative_count,
        min(fork_position) as first_fork_position,
        min(turn_number) as first_fork_turn_number
    from points
    where alternative_count > 1
    group by session_id
),

listed as (
    select
        session_id,
        count(*) filter (where deleted_at is null) as branch_count,
        count(*) filter (where kind = 'compact') as compaction_count
    from branches
    where $session_id::varchar is null or session_id = $session_id
    group by session_id
),

lengths as (
    select
        session_id,
        count(*) as item_count,
        count(*) filter (where is_current) as current_item_count,
        count(*) filter (where is_archived) as archived_item_count,
        count(*) filter (where not is_current and not is_archived) as superseded_item_count,
        max(position) as deepest_item_count,
        max(turn_number) as deepest_turn_count,
        coalesce(max(turn_number) filter (where is_current or is_archived), 0)
            as current_turn_count,
        min(created_at) as started_at
    from items
    where $session_id::varchar is null or session_id = $session_id
    group by session_id
),

shapes as (
    select
        lengths.*,
        listed.branch_count,
        listed.compaction_count,
        forks.first_fork_position,
        forks.first_fork_turn_number,
        coalesce(forks.edit_point_count, 0) as edit_point_count,
        coalesce(forks.alternative_count, 0) as alternative_count,
        coalesce(forks.max_alternative_count, 0) as max_alternative_count
    from lengths
    inner join listed on lengths.session_id = listed.session_id
    left join forks on lengths.session_id = forks.session_id
)

select
    session_id,
    branch_count,
    edit_point_count,
    alternative_count,
    max_alternative_count,
    compaction_count,
    first_fork_position,
    first_fork_turn_number,
    deepest_item_count,
    deepest_turn_count,
    current_item_count,
    current_turn_count,
    item_count,
    archived_item_count,
    superseded_item_count,
    started_at,
    superseded_item_count / item_count::double as superseded_share
from shapes
where
    edit_point_count >= $min_edit_point_count::bigint
    and ($since::timestamptz is null or started_at >= $since)
    and ($until::timestamptz is null or started_at < $until)
order by superseded_item_count desc, session_id asc
limit $row_limit
