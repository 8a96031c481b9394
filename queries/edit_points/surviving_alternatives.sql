-- Which of the alternatives at an edit point conversations went on with.
--
-- One row per kind and place among the alternatives: the first is what was there before, the last
-- is the newest of its kind, and what is between is middle. A kind is an alternative's own, as in
-- `edit_kinds`. The conversation went on with an alternative where that is on the session's path,
-- or was when a compaction archived it, and no newer one of its kind at the same place is. A place
-- on a branch that was left has none; current_share is of the alternatives at the other places
-- (on_path_count).
--
-- Runs that followed are those after the alternative's own: on the session's path where the
-- conversation went on with it, else on the branch that the alternative is on. What was said there
-- before it was left counts, but not what was said on further branches that began from there.
--
-- read: current_share of last near 1 means that a new try is taken as it comes. One of first well
-- above 0 means that people go back: the change did not help.
--
-- act: Where people go back, offer to keep both ways (a branch by name) instead of another try,
-- and see with `edit_effects` what the refused ones led to.
--
-- scope: store
--
-- param session_id: varchar = null
--     Only this session.
-- param since: timestamptz = null
--     Ignore edit points whose newest alternative was begun before this moment.
-- param until: timestamptz = null
--     Ignore edit points whose newest alternative was begun at or after this moment.
-- param include_compactions: boolean = false
--     Also the places where a compaction replaced items.
-- param row_limit: bigint = null
--     Return at most this many rows.

with

live as (
    select
        *,
        is_current or is_archived as is_live
    from edit_points
    where
        ($session_id::varchar is null or session_id = $session_id)
        and ($include_compactions::boolean or kind <> 'compact')
),

alternatives as (
    select
        session_id,
        branch_id,
        turn_number,
        kind,
        case
            when rank = 1 then 'first'
            when rank = max(rank) over places then 'last'
            else 'middle'
        end as place,
        bool_or(is_live) over places as is_on_path,
        is_live and rank = max(rank) filter (where is_live) over places as went_on,
        max(created_at) over places as newest_at
    from live
    window places as (partition by session_id, item_before_id, kind)
),

chosen as (
    select *
    from alternatives
    where
        ($since::timestamptz is null or newest_at >= $since)
        and ($until::timestamptz is null or newest_at < $until)
),

branch_turns as (
    select
        branch_id,
        any_value(session_id) as session_id,
        max(turn_number) as last_turn_number,
        max(turn_number) filter (where is_current or is_archived) as last_live_turn_number
    from items
    where $session_id::varchar is null or session_id = $session_id
    group by branch_id
),

path_turns as (
    select
        session_id,
        max(last_live_turn_number) as last_turn_number
    from branch_turns
    group by session_id
),

followed as (
    select
        chosen.kind,
        chosen.place,
        chosen.is_on_path,
        chosen.went_on,
        if(
            chosen.went_on,
            path_turns.last_turn_number,
            branch_turns.last_turn_number
        ) - chosen.turn_number as following_run_count
    from chosen
    inner join branch_turns on chosen.branch_id = branch_turns.branch_id
    inner join path_turns on chosen.session_id = path_turns.session_id
)

select
    kind,
    place,
    count(*) as alternative_count,
    count(*) filter (where is_on_path) as on_path_count,
    count(*) filter (where went_on) as current_count,
    count(*) filter (where went_on)
    / nullif(count(*) filter (where is_on_path), 0)::double as current_share,
    sum(following_run_count)::bigint as following_run_count,
    sum(following_run_count) / count(*)::double as mean_following_run_count,
    max(following_run_count) as max_following_run_count
from followed
group by kind, place
order by kind asc, case place when 'first' then 1 when 'middle' then 2 else 3 end asc
limit $row_limit
