-- How long after an answer users edited their question or had it answered again.
--
-- One row per kind: edit or regenerate. The time runs from the end of what was replaced, the last
-- thing that was said there, to the moment when it was taken back; where it was not taken back
-- first, to the new alternative. A question that was edited before anything answered it is counted
-- as unanswered and not timed; nor is what was imported, or copied from another session. A message
-- of the agent that somebody edited counts as regenerated.
--
-- read: Edits within a few seconds are of people who saw at once that the answer would not do, or
-- that they had asked the wrong thing; late ones, of people who tried it first. Look at
-- timed_count before the shares.
--
-- act: Read the quick ones with `edit_points`: what they have in common is what the agent should
-- ask about before it answers. Where regenerations come quickly, compare the pairs of
-- `preference_pairs`.
--
-- scope: store
--
-- param session_id: varchar = null
--     Only edits in this session.
-- param kind: varchar = null
--     Only edits of this kind: edit or regenerate.
-- param since: timestamptz = null
--     Ignore edits made before this moment.
-- param until: timestamptz = null
--     Ignore edits made at or after this moment.
-- param short_seconds: double = 10
--     The first limit that edits are counted within.
-- param long_seconds: double = 60
--     The second limit that edits are counted within.
-- param row_limit: bigint = null
--     Return at most this many kinds.

with

begun as (
    select
        branch_id,
        parent_branch_id,
        session_id,
        kind,
        created_at
    from branches
    where
        kind in ('edit', 'regenerate')
        and ($session_id::varchar is null or session_id = $session_id)
        and ($kind::varchar is null or kind = $kind)
        and ($since::timestamptz is null or created_at >= $since)
        and ($until::timestamptz is null or created_at < $until)
),

-- What was said on the branches that were replaced, and between it where each edit left them: ids
-- come in the order in which things happened.
marks as (
    select
        branch_id,
        item_id as mark_id,
        item_id,
        null::bigint as edit_id
    from items
    where branch_id in (select begun.parent_branch_id from begun)
    union all
    select
        parent_branch_id as branch_id,
        branch_id as mark_id,
        null::bigint as item_id,
        branch_id as edit_id
    from begun
),

lefts as (
    select
        edit_id,
        max(item_id) over (
            partition by branch_id
            order by mark_id asc
            rows between unbounded preceding and current row
        ) as last_item_id
    from marks
),

left_at as (
    select
        edit_id,
        last_item_id
    from lefts
    where edit_id is not null
),

said as (
    select
        item_id,
        operation,
        role,
        created_at
    from items
    where item_id in (select left_at.last_item_id from left_at)
),

ends as (
    select
        begun.branch_id,
        begun.parent_branch_id,
        begun.kind,
        begun.created_at,
        said.item_id as last_item_id,
        said.created_at as ended_at,
        said.operation,
        coalesce(said.role in ('user', 'system', 'developer'), false) as is_unanswered
    from begun
    inner join left_at on begun.branch_id = left_at.edit_id
    left join said on left_at.last_item_id = said.item_id
),

-- When the path was first cut there after that. The new answer comes when the model has made it.
cuts as (
    select
        ends.branch_id,
        min(history.created_at) as taken_back_at
    from ends
    inner join history
        on
            ends.parent_branch_id = history.from_branch_id
            and ends.last_item_id < history.history_id
            and ends.branch_id > history.history_id
    where history.operation in ('pop', 'rewind')
    group by ends.branch_id
),

timed as (
    select
        ends.kind,
        ends.is_unanswered,
        case
            -- What was imported or copied has the time of that, and not when it was said.
            when ends.operation = 'append' and not ends.is_unanswered
                then date_diff(
                    'microseconds',
                    ends.ended_at,
                    coalesce(cuts.taken_back_at, ends.created_at)
                ) / 1000000.0
        end as edit_seconds
    from ends
    left join cuts on ends.branch_id = cuts.branch_id
)

select
    kind,
    count(*) as edit_count,
    count(*) filter (where is_unanswered) as unanswered_count,
    count(edit_seconds) as timed_count,
    quantile_cont(edit_seconds, 0.5) as p50_seconds,
    quantile_cont(edit_seconds, 0.9) as p90_seconds,
    max(edit_seconds) as max_seconds,
    count(*) filter (where edit_seconds <= $short_seconds::double)
    / nullif(count(edit_seconds), 0)::double as within_short_share,
    count(*) filter (where edit_seconds <= $long_seconds::double)
    / nullif(count(edit_seconds), 0)::double as within_long_share
from timed
group by kind
order by edit_count desc, kind asc
limit $row_limit
