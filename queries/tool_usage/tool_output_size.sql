-- How long the outputs of each tool are, and which tools fill the model's context.
--
-- One row per tool. Characters are those of the output as a person would read it: an image counts
-- as the word that stands for it. Errors and refusals are outputs too, since the model reads them;
-- calls without an output are counted in call_count only, and their tool has NULL for sizes where
-- it has no other. total_share is the share of the characters of all tools.
--
-- read: A high total_share is a tool that fills the context; a p95 far above p50 is one that does
-- so now and then. An output is sent to the model again with each later call, so that early and
-- long ones are the dearest. Tokens are not told here: an English text has about one for four
-- characters, JSON and other languages more.
--
-- act: Cut the outputs of the first tools in the list: fewer fields, fewer rows, a summary, a page
-- at a time. Read the longest one first: max_call_id is its id in tool_calls.
--
-- scope: store
--
-- param session_id: varchar = null
--     Only calls in this session.
-- param since: timestamptz = null
--     Ignore calls made before this moment.
-- param until: timestamptz = null
--     Ignore calls made at or after this moment.
-- param agent_name: varchar = null
--     Only calls by this agent.
-- param tool_name: varchar = null
--     Only this tool; its share stays that of all tools.
-- param include_superseded: boolean = true
--     Also calls on paths that an edit replaced: they were made and paid for.
-- param row_limit: bigint = null
--     Return at most this many tools, the most characters first.

with

calls as (
    select
        id,
        session_id,
        tool_name,
        length(output) as output_chars
    from tool_calls
    where
        ($session_id::varchar is null or session_id = $session_id)
        and ($since::timestamptz is null or created_at >= $since)
        and ($until::timestamptz is null or created_at < $until)
        and ($agent_name::varchar is null or agent_name = $agent_name)
        and ($include_superseded::boolean or is_current or is_archived)
),

sizes as (
    select
        tool_name,
        count(*) as call_count,
        count(output_chars) as output_count,
        quantile_cont(output_chars, 0.5) as p50_chars,
        quantile_cont(output_chars, 0.95) as p95_chars,
        max(output_chars) as max_chars,
        sum(output_chars)::bigint as total_chars,
        -- The first of the longest.
        -max(struct_pack(output_chars := output_chars, rank := -id)) filter (
            where output_chars is not null
        ).rank as max_call_id
    from calls
    group by tool_name
),

shares as (
    select
        *,
        total_chars / nullif(sum(total_chars) over (), 0)::double as total_share
    from sizes
)

select
    tool_name,
    call_count,
    output_count,
    p50_chars,
    p95_chars,
    max_chars,
    total_chars,
    total_share,
    max_call_id
from shares
where $tool_name::varchar is null or tool_name = $tool_name
order by total_chars desc nulls last, call_count desc, tool_name asc nulls last
limit $row_limit
