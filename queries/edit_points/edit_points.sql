-- Where conversations went more than one way, and what was said there.
--
-- One row per alternative at an edit point. The first alternative is what was there before. An
-- edit changes what the user said, a regeneration answers the same words again, a fork was asked
-- for by name; a compaction is none of them and is left out unless asked for.
--
-- read: Alternatives with the same item_before_id stand beside each other; rank tells their order
-- in time, and is_current which one the conversation went on with.
--
-- act: Where the same question is edited again and again, the agent did not understand it: compare
-- the wordings with `edit_text_changes` and what they led to with `edit_effects`.
--
-- scope: session
--
-- param session_id: varchar = null
--     Only this session.
-- param kind: varchar = null
--     Only alternatives of this kind: edit, regenerate, fork or compact.
-- param since: timestamptz = null
--     Ignore alternatives begun before this moment.
-- param until: timestamptz = null
--     Ignore alternatives begun at or after this moment.
-- param include_compactions: boolean = false
--     Also the places where a compaction replaced items.
-- param row_limit: bigint = null
--     Return at most this many alternatives.

select
    session_id,
    item_before_id,
    position,
    turn_number,
    kind,
    rank,
    alternative_count,
    is_current,
    branch_id,
    run_id,
    alternative_item_id,
    item_type,
    role,
    text,
    created_at
from edit_points
where
    ($session_id::varchar is null or session_id = $session_id)
    and ($kind::varchar is null or kind = $kind)
    and ($since::timestamptz is null or created_at >= $since)
    and ($until::timestamptz is null or created_at < $until)
    and ($include_compactions::boolean or kind <> 'compact' or kind = $kind)
order by session_id asc, position asc, item_before_id asc nulls first, rank asc
limit $row_limit
