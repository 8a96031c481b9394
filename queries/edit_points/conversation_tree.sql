-- Every item of a conversation after the one that it follows, on every way that it went.
--
-- One row per item. Where two rows have the same parent_item_id, the conversation went more than
-- one way there: rank tells their order in time, kind what began the alternative, and both are NULL
-- elsewhere. The branch is the one that the item was said on; what stands on it before that is its
-- parents'. What a compaction replaced is archived, and what is neither current nor archived is
-- superseded.
--
-- read: Follow parent_item_id from the last row that is_current to the start of the conversation:
-- that is what the agent saw last. A long way that is not current is work that was thrown away.
--
-- act: Draw it: `duckstore query conversation_tree --session-id ID --plot tree.svg`. Compare two of
-- its ways with `duckstore diff`, and what they took with `branch_differences`.
--
-- scope: session
--
-- param session_id: varchar = null
--     Only this session.
-- param max_text_chars: bigint = 200
--     Give at most the first so many characters of each text. Null for all.
-- param row_limit: bigint = null
--     Return at most this many items, the first ones of the first sessions.

with

chosen as (
    select
        *,
        case
            when $max_text_chars::bigint is null then text
            else left(text, $max_text_chars)
        end as text_start
    from items
    where $session_id::varchar is null or session_id = $session_id
)

select
    chosen.session_id,
    chosen.item_id,
    chosen.parent_item_id,
    chosen.position,
    chosen.turn_number,
    chosen.run_id,
    branches.name as branch_name,
    edit_points.kind,
    edit_points.rank,
    edit_points.alternative_count,
    chosen.is_current,
    chosen.is_archived,
    chosen.item_type,
    chosen.role,
    chosen.agent_name,
    chosen.tool_name,
    chosen.text_start,
    chosen.created_at
from chosen
left join branches on chosen.branch_id = branches.branch_id
left join edit_points on chosen.item_id = edit_points.alternative_item_id
order by chosen.session_id asc, chosen.item_id asc
limit $row_limit
