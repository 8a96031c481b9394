-- What to know of the stored rows before trusting figures made of them.
--
-- One row per kind of finding, also where nothing was found; kinds of a relation without rows are
-- left out. None of them is damage: `duckstore check` looks for that. Shares are those of the rows
-- that could have it: of outputs for those without a call, of items that follow one in the same
-- run for gaps. A call id that came before counts from its second call in a run on. The example is
-- the latest: its session, and its id in the relation named (of a run its first item, of a session
-- none). Usage does not add up where the total is not input and output, or where the cached or the
-- reasoning tokens are more than those they are part of.
--
-- read: Calls without output are those that are pending: they may still run, wait for a person, or
-- be the last thing before a crash. Items dated before the one they follow tell of clocks that
-- disagree: no duration near them holds. Usage of several requests in one makes a response look
-- larger than any was.
--
-- act: Look at the example with `duckstore show`. List the halves of calls with `orphan_calls`, set
-- prices for what `unpriced_models` lists, and see with `usage_coverage` which facts nobody told.
-- Items of unknown types are stored whole, so that a newer duckstore may read them.
--
-- scope: store
--
-- param session_id: varchar = null
--     Only rows of this session.
-- param since: timestamptz = null
--     Ignore rows from before this moment.
-- param until: timestamptz = null
--     Ignore rows from this moment on.
-- param min_gap_seconds: double = 600.0
--     How long nothing must have come within a run to be a gap.
-- param include_superseded: boolean = true
--     Also rows on paths that an edit replaced.
-- param row_limit: bigint = null
--     Return at most this many findings, those of the largest share first.

with

chosen_items as (
    select
        item_id,
        session_id,
        run_id,
        parent_item_id,
        item_type,
        created_at,
        -- What a compaction or a fork put there again was answered elsewhere.
        operation not in ('compact', 'fork')
        and coalesce(
            item_type in (
                'function_call_output', 'custom_tool_call_output', 'computer_call_output',
                'local_shell_call_output', 'shell_call_output', 'apply_patch_call_output',
                'tool_search_output', 'program_output'
            ),
            false
        ) as is_output,
        answers_item_id is null as has_no_call,
        coalesce(
            item_type not in (
                'message', 'reasoning', 'function_call', 'function_call_output',
                'custom_tool_call', 'custom_tool_call_output', 'computer_call',
                'computer_call_output', 'local_shell_call', 'local_shell_call_output',
                'shell_call', 'shell_call_output', 'apply_patch_call', 'apply_patch_call_output',
                'tool_search_call', 'tool_search_output', 'program', 'program_output',
                'web_search_call', 'file_search_call', 'code_interpreter_call',
                'image_generation_call', 'mcp_call', 'mcp_list_tools', 'mcp_approval_request',
                'mcp_approval_response', 'compaction', 'compaction_trigger', 'additional_tools',
                'configuration_update', 'item_reference'
            ),
            true
        ) as has_unknown_type
    from items
    where
        ($session_id::varchar is null or session_id = $session_id)
        and ($since::timestamptz is null or created_at >= $since)
        and ($until::timestamptz is null or created_at < $until)
        and ($include_superseded::boolean or is_current or is_archived)
),

steps as (
    select
        chosen_items.*,
        befores.run_id = chosen_items.run_id as goes_on,
        date_diff('microseconds', befores.created_at, chosen_items.created_at)
        / 1000000.0 as waited_seconds
    from chosen_items
    left join items as befores on chosen_items.parent_item_id = befores.item_id
),

chosen_messages as (
    select
        item_id,
        session_id,
        text is null or regexp_full_match(text, '\s*') as has_no_text
    from messages
    where
        ($session_id is null or session_id = $session_id)
        and ($since is null or created_at >= $since)
        and ($until is null or created_at < $until)
        and ($include_superseded or is_current or is_archived)
),

chosen_calls as (
    select
        id,
        session_id,
        run_id,
        parent_tool_call_id,
        status,
        call_id,
        tool_type = 'function' and arguments is not null as has_arguments,
        arguments_json is null as has_no_json,
        ended_at >= started_at as ends_after
    from tool_calls
    where
        ($session_id is null or session_id = $session_id)
        and ($since is null or created_at >= $since)
        and ($until is null or created_at < $until)
        and ($include_superseded or is_current or is_archived)
),

repeated_ids as (
    select
        count(*) - 1 as repeat_count,
        max(id) as id,
        any_value(session_id) as session_id
    from chosen_calls
    where call_id is not null
    group by run_id, parent_tool_call_id, call_id
),

chosen_responses as (
    select
        response_id,
        session_id,
        total_tokens,
        request_count,
        error_type is null and error is null as has_answer,
        ended_at >= started_at as ends_after,
        total_tokens = input_tokens + output_tokens
        and cache_read_input_tokens + cache_write_input_tokens <= input_tokens
        and reasoning_output_tokens <= output_tokens as adds_up
    from responses
    where
        ($session_id is null or session_id = $session_id)
        and ($since is null or created_at >= $since)
        and ($until is null or created_at < $until)
        and ($include_superseded or is_current or is_archived)
),

found as (
    select
        'items' as relation,
        [
            struct_pack(
                finding := 'items of an unknown type',
                row_count := count(*) filter (where has_unknown_type),
                total_count := count(*),
                session_id := arg_max(session_id, item_id) filter (where has_unknown_type),
                id := max(item_id) filter (where has_unknown_type)
            ),
            struct_pack(
                finding := 'outputs without a call',
                row_count := count(*) filter (where is_output and has_no_call),
                total_count := count(*) filter (where is_output),
                session_id := arg_max(session_id, item_id) filter (
                    where is_output and has_no_call
                ),
                id := max(item_id) filter (where is_output and has_no_call)
            ),
            struct_pack(
                finding := 'items dated before the one they follow',
                row_count := count(*) filter (where waited_seconds < 0),
                total_count := count(waited_seconds),
                session_id := arg_max(session_id, item_id) filter (where waited_seconds < 0),
                id := max(item_id) filter (where waited_seconds < 0)
            ),
            struct_pack(
                finding := 'gaps within a run',
                row_count := count(*) filter (
                    where goes_on and waited_seconds >= $min_gap_seconds::double
                ),
                total_count := count(*) filter (where goes_on),
                session_id := arg_max(session_id, item_id) filter (
                    where goes_on and waited_seconds >= $min_gap_seconds
                ),
                id := max(item_id) filter (
                    where goes_on and waited_seconds >= $min_gap_seconds
                )
            )
        ] as findings
    from steps
    union all
    select
        'messages' as relation,
        [
            struct_pack(
                finding := 'messages without text',
                row_count := count(*) filter (where has_no_text),
                total_count := count(*),
                session_id := arg_max(session_id, item_id) filter (where has_no_text),
                id := max(item_id) filter (where has_no_text)
            )
        ] as findings
    from chosen_messages
    union all
    select
        'tool_calls' as relation,
        [
            struct_pack(
                finding := 'calls without output',
                row_count := count(*) filter (where status = 'pending'),
                total_count := count(*),
                session_id := arg_max(session_id, id) filter (where status = 'pending'),
                id := max(id) filter (where status = 'pending')
            ),
            struct_pack(
                finding := 'arguments that are not JSON',
                row_count := count(*) filter (where has_arguments and has_no_json),
                total_count := count(*) filter (where has_arguments),
                session_id := arg_max(session_id, id) filter (where has_arguments and has_no_json),
                id := max(id) filter (where has_arguments and has_no_json)
            ),
            struct_pack(
                finding := 'calls that ended before they began',
                row_count := count(*) filter (where not ends_after),
                total_count := count(ends_after),
                session_id := arg_max(session_id, id) filter (where not ends_after),
                id := max(id) filter (where not ends_after)
            )
        ] as findings
    from chosen_calls
    union all
    select
        'tool_calls' as relation,
        [
            struct_pack(
                finding := 'call ids that came before in their run',
                row_count := sum(repeat_count)::bigint,
                total_count := sum(repeat_count + 1)::bigint,
                session_id := arg_max(session_id, id) filter (where repeat_count > 0),
                id := max(id) filter (where repeat_count > 0)
            )
        ] as findings
    from repeated_ids
    union all
    select
        'responses' as relation,
        [
            struct_pack(
                finding := 'responses without usage',
                row_count := count(*) filter (where has_answer and total_tokens is null),
                total_count := count(*) filter (where has_answer),
                session_id := arg_max(session_id, response_id) filter (
                    where has_answer and total_tokens is null
                ),
                id := max(response_id) filter (where has_answer and total_tokens is null)
            ),
            struct_pack(
                finding := 'usage that does not add up',
                row_count := count(*) filter (where not adds_up),
                total_count := count(adds_up),
                session_id := arg_max(session_id, response_id) filter (where not adds_up),
                id := max(response_id) filter (where not adds_up)
            ),
            struct_pack(
                finding := 'usage of several requests in one',
                row_count := count(*) filter (where request_count > 1),
                total_count := count(request_count),
                session_id := arg_max(session_id, response_id) filter (where request_count > 1),
                id := max(response_id) filter (where request_count > 1)
            ),
            struct_pack(
                finding := 'responses that ended before they began',
                row_count := count(*) filter (where not ends_after),
                total_count := count(ends_after),
                session_id := arg_max(session_id, response_id) filter (where not ends_after),
                id := max(response_id) filter (where not ends_after)
            )
        ] as findings
    from chosen_responses
    union all
    select
        'costs' as relation,
        [
            struct_pack(
                finding := 'usage without a price',
                row_count := count(*) filter (where total_cost is null),
                total_count := count(*),
                session_id := arg_max(session_id, response_id) filter (where total_cost is null),
                id := max(response_id) filter (where total_cost is null)
            )
        ] as findings
    from costs
    where
        input_tokens is not null
        and ($session_id is null or session_id = $session_id)
        and ($since is null or created_at >= $since)
        and ($until is null or created_at < $until)
        and ($include_superseded or is_current or is_archived)
    union all
    select
        'runs' as relation,
        [
            struct_pack(
                finding := 'runs without a user message',
                row_count := count(*) filter (where user_item_id is null),
                total_count := count(*),
                session_id := arg_max(session_id, id) filter (where user_item_id is null),
                id := max(id) filter (where user_item_id is null)
            )
        ] as findings
    from runs
    where
        ($session_id is null or session_id = $session_id)
        and ($since is null or created_at >= $since)
        and ($until is null or created_at < $until)
        and ($include_superseded or status <> 'superseded')
    union all
    select
        'sessions' as relation,
        [
            struct_pack(
                finding := 'sessions without a user_id',
                row_count := count(*) filter (where user_id is null),
                total_count := count(*),
                session_id := max(session_id) filter (where user_id is null),
                id := null::bigint
            )
        ] as findings
    from sessions
    where
        ($session_id is null or session_id = $session_id)
        and ($since is null or created_at >= $since)
        and ($until is null or created_at < $until)
),

listed as (
    select
        relation,
        unnest(findings) as each_finding
    from found
),

counted as (
    select
        relation,
        struct_extract(each_finding, 'finding') as finding,
        struct_extract(each_finding, 'row_count') as row_count,
        struct_extract(each_finding, 'total_count') as total_count,
        struct_extract(each_finding, 'session_id') as example_session_id,
        struct_extract(each_finding, 'id') as example_id
    from listed
)

select
    finding,
    relation,
    row_count,
    total_count,
    example_session_id,
    example_id,
    row_count / total_count::double as row_share
from counted
where total_count > 0
order by row_share desc, finding asc
limit $row_limit
