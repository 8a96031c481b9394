-- How often conversations were edited, answered again or forked, and if the newest way was kept.
--
-- One row per kind of edit point. An edit point is a place (after an item, or at the start of a
-- session) where more than one item follows; these are its alternatives, ranked from 1 in the
-- order of their ids. An alternative that begins a branch has that branch's kind, any other the
-- kind of the first one there that begins a branch. A place with alternatives of several kinds is
-- an edit point of each kind, with the alternatives of that kind. An alternative is current where
-- it is on its session's path or a compaction of that path archived it; an edit point is on the
-- path (on_path_count) where one of its alternatives is current, and newest_current_share is of
-- those. Sessions are those with items; with a time given, those with items of that time.
--
-- read: change_count is how often another way was put beside what was there: alternatives with a
-- rank above 1. A newest_current_share below 1 means that people went back to an earlier way.
--
-- act: Where session_share of edits is high, read what was asked anew with `edit_text_changes`;
-- where that of regenerations is, see whose answers are not taken with `regeneration_rate`. Which
-- ways were kept instead of the newest, `surviving_alternatives` tells.
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
--     Return at most this many kinds, the most frequent first.

with

places as (
    select
        session_id,
        item_before_id,
        kind,
        count(*) as alternative_count,
        count(*) filter (where rank > 1) as change_count,
        bool_or(is_current or is_archived) as is_on_path,
        arg_max(is_current or is_archived, rank) as is_newest_current,
        max(created_at) as newest_at
    from edit_points
    where
        ($session_id::varchar is null or session_id = $session_id)
        and ($include_compactions::boolean or kind <> 'compact')
    group by session_id, item_before_id, kind
),

chosen as (
    select *
    from places
    where
        ($since::timestamptz is null or newest_at >= $since)
        and ($until::timestamptz is null or newest_at < $until)
),

stored as (
    select count(distinct session_id) as session_count
    from items
    where
        ($session_id::varchar is null or session_id = $session_id)
        and ($since::timestamptz is null or created_at >= $since)
        and ($until::timestamptz is null or created_at < $until)
)

select
    chosen.kind,
    count(*) as edit_point_count,
    sum(chosen.alternative_count)::bigint as alternative_count,
    sum(chosen.change_count)::bigint as change_count,
    count(distinct chosen.session_id) as session_count,
    count(distinct chosen.session_id) / any_value(stored.session_count)::double as session_share,
    sum(chosen.alternative_count) / count(*)::double as mean_alternative_count,
    max(chosen.alternative_count) as max_alternative_count,
    count(*) filter (where chosen.is_on_path) as on_path_count,
    count(*) filter (where chosen.is_newest_current) as newest_current_count,
    count(*) filter (where chosen.is_newest_current)
    / nullif(count(*) filter (where chosen.is_on_path), 0)::double as newest_current_share
from chosen
cross join stored
group by chosen.kind
order by edit_point_count desc, chosen.kind asc
limit $row_limit
