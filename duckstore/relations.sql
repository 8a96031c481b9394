-- The relations that users and queries read, as views over the tables in tables.sql.
--
-- 9223372036854775807 stands for "to the end": a branch whose own items are all visible.

-- One row per branch that was ever cut or left: the last position visible on it.
create or replace view branch_ends as
select
    branch_id,
    arg_max(end_position, move_id) as end_position,
from (
    select
        to_branch_id as branch_id,
        move_id,
        end_position,
    from move_rows
    where to_branch_id is not null
    union all
    -- An alternative was begun: the branch that it replaces is whole again.
    select
        from_branch_id as branch_id,
        move_id,
        9223372036854775807 as end_position,
    from move_rows
    where operation in ('edit', 'regenerate', 'compact')
)
group by branch_id;

-- One row per branch that was deleted, and not gone back to since. Its items stay, superseded.
create or replace view deleted_branches as
select
    deletions.branch_id,
    deletions.deleted_at,
from (
    select
        from_branch_id as branch_id,
        max(move_id) as move_id,
        max(created_at) as deleted_at,
    from move_rows
    where operation = 'delete'
    group by from_branch_id
) as deletions
left join (
    select
        to_branch_id as branch_id,
        max(move_id) as move_id,
    from move_rows
    where to_branch_id is not null
    group by to_branch_id
) as returns on deletions.branch_id = returns.branch_id
where deletions.move_id > coalesce(returns.move_id, 0);

-- One row per session: the branch that its path is on.
create or replace view current_branches as
select
    session_rows.session_key,
    coalesce(moves.branch_id, session_rows.session_key) as branch_id,
from session_rows
left join (
    select
        session_key,
        arg_max(to_branch_id, move_id) as branch_id,
    from move_rows
    where to_branch_id is not null
    group by session_key
) as moves on session_rows.session_key = moves.session_key;

-- One row per stretch of a branch that belongs to a branch, in positions of the source branch.
create or replace view branch_stretches as
select
    stretches.branch_id,
    stretches.session_key,
    stretches.source_branch_id,
    stretches.first_position,
    case
        when stretches.archived_at is null
            then least(
                stretches.last_position,
                -- An open end has no limit: NULL, which least() leaves out.
                nullif(branch_ends.end_position, 9223372036854775807) - stretches.position_offset
            )
        else stretches.last_position
    end as last_position,
    stretches.position_offset,
    stretches.archived_at is not null as is_archived,
from (
    select
        branch_id,
        session_key,
        branch_id as source_branch_id,
        fork_position + 1 as first_position,
        9223372036854775807 as last_position,
        0 as position_offset,
        null::bigint as archived_at,
    from branch_rows
    union all
    select
        branch_id,
        session_key,
        source_branch_id,
        first_position,
        last_position,
        position_offset,
        archived_at,
    from lineage_rows
) as stretches
left join branch_ends on stretches.branch_id = branch_ends.branch_id
where
    stretches.archived_at is null
    or stretches.archived_at <= coalesce(branch_ends.end_position, 9223372036854775807);

-- One row per stored item, with where it stands: on the current path, archived by a compaction
-- of the current path, or superseded. The other relations are built on this one.
create or replace view placed_items as
select
    item_rows.*,
    session_rows.session_id,
    coalesce(not stretches.is_archived, false) as is_current,
    coalesce(stretches.is_archived, false) as is_archived,
from item_rows
inner join session_rows on item_rows.session_key = session_rows.session_key
left join (
    select branch_stretches.*
    from branch_stretches
    -- A semi join: DuckDB takes the result of an inner one for larger than the items, and puts
    -- those into the hash table.
    semi join current_branches on branch_stretches.branch_id = current_branches.branch_id
) as stretches
    on item_rows.branch_id = stretches.source_branch_id
    and item_rows.position between stretches.first_position and stretches.last_position;

create or replace view items as
select
    item_id,
    session_id,
    branch_id,
    position,
    parent_item_id,
    run_id,
    turn_number,
    response_id,
    item_type,
    role,
    call_id,
    tool_name,
    tool_type,
    agent_name,
    answers_item_id,
    case
        when text is null and call_index is not null
            then concat(tool_name, '(', coalesce(arguments, ''), ')')
        else text
    end as text,
    item,
    created_at,
    batch_id,
    operation,
    is_current,
    is_archived,
from placed_items;

create or replace view messages as
select
    item_id,
    session_id,
    branch_id,
    position,
    run_id,
    turn_number,
    response_id,
    role,
    agent_name,
    text,
    created_at,
    operation,
    is_current,
    is_archived,
from placed_items
where item_type = 'message';

-- One row per tool call in which agents ran that called a model: what they used.
create or replace view nested_usage as
select
    parent_tool_call_id as tool_call_id,
    count(*) as response_count,
    sum(input_tokens)::bigint as input_tokens,
    sum(output_tokens)::bigint as output_tokens,
    sum(total_tokens)::bigint as total_tokens,
from response_rows
where parent_tool_call_id is not null
group by parent_tool_call_id;

create or replace view tool_calls as
select
    calls.item_id as id,
    calls.run_id,
    calls.tool_name,
    calls.arguments,
    coalesce(outputs.text, calls.text) as output,
    calls.created_at,
    calls.call_id,
    calls.session_id,
    calls.branch_id,
    calls.position,
    calls.turn_number,
    calls.response_id,
    calls.item_id as anchor_item_id,
    calls.agent_name,
    calls.tool_type,
    calls.server_label,
    case
        -- That a tool failed or was refused is told best by who saw it run; that it went well,
        -- by the kind of its output first: a shell command can run and fail.
        when seen.status <> 'ok' then seen.status
        when coalesce(outputs.status_source, calls.status_source) = 'item'
            then coalesce(outputs.status, calls.status)
        else coalesce(seen.status, outputs.status, calls.status, 'pending')
    end as status,
    case
        when
            seen.status <> 'ok'
            or coalesce(outputs.status_source, calls.status_source, '') <> 'item'
            then coalesce(seen.error, if(seen.status = 'error', outputs.text, outputs.error))
        else coalesce(outputs.error, calls.error)
    end as error,
    seen.error_type,
    case
        when seen.status <> 'ok' then seen.status_source
        when coalesce(outputs.status_source, calls.status_source) = 'item' then 'item'
        when seen.status is not null then seen.status_source
        else coalesce(outputs.status_source, calls.status_source, 'default')
    end as status_source,
    calls.call_index,
    calls.parallel_count,
    outputs.item_id as output_item_id,
    outputs.handoff_to,
    seen.started_at,
    seen.ended_at,
    date_diff('microseconds', seen.started_at, seen.ended_at) / 1000000.0 as duration_seconds,
    seen.overlap_seconds,
    seen.approval,
    case when seen.approval = 'asked' or seen.decided_at is not null then calls.created_at end
        as approval_asked_at,
    seen.decided_at as approval_decided_at,
    date_diff('microseconds', calls.created_at, seen.decided_at) / 1000000.0 as approval_seconds,
    seen.parent_tool_call_id,
    nested.response_count,
    nested.input_tokens,
    nested.output_tokens,
    nested.total_tokens,
    case when json_valid(calls.arguments) then calls.arguments::json end as arguments_json,
    calls.is_current,
    calls.is_archived,
from placed_items as calls
left join (
    select
        answers_item_id,
        item_id,
        text,
        status,
        status_source,
        error,
        handoff_to,
    from item_rows
    where answer_number = 1
        and answers_item_id not in (
            select answers_item_id from item_rows where answer_number > 1
        )
    union all
    -- A call whose output was replaced by another path's has several: one on the current path
    -- comes before any other, then the latest. Where they stand is looked up for these alone.
    select
        answers_item_id,
        item_id,
        text,
        status,
        status_source,
        error,
        handoff_to,
    from placed_items
    where answers_item_id in (
        select answers_item_id from item_rows where answer_number > 1
    )
    qualify row_number() over (
        partition by answers_item_id
        order by is_current or is_archived desc, item_id desc
    ) = 1
) as outputs on calls.item_id = outputs.answers_item_id
left join call_rows as seen on calls.item_id = seen.tool_call_id
left join nested_usage as nested on calls.item_id = nested.tool_call_id
-- What a session was forked with was called in the other one.
where calls.call_index is not null and calls.operation <> 'fork'
union all
-- Calls that no item tells of: an agent that is a tool made them, or an error ended their run.
select
    seen.tool_call_id,
    seen.run_id,
    seen.tool_name,
    seen.arguments,
    seen.output,
    coalesce(seen.started_at, places.created_at),
    seen.call_id,
    places.session_id,
    places.branch_id,
    null,
    places.turn_number,
    null,
    seen.item_id,
    seen.agent_name,
    'function',
    null,
    coalesce(seen.status, if(seen.ended_at is null, 'pending', 'ok')),
    seen.error,
    seen.error_type,
    coalesce(seen.status_source, 'default'),
    null,
    null,
    null,
    null,
    seen.started_at,
    seen.ended_at,
    date_diff('microseconds', seen.started_at, seen.ended_at) / 1000000.0,
    seen.overlap_seconds,
    seen.approval,
    null,
    seen.decided_at,
    null,
    seen.parent_tool_call_id,
    nested.response_count,
    nested.input_tokens,
    nested.output_tokens,
    nested.total_tokens,
    case when json_valid(seen.arguments) then seen.arguments::json end,
    places.is_current,
    places.is_archived,
from call_rows as seen
inner join placed_items as places on seen.item_id = places.item_id
left join nested_usage as nested on seen.tool_call_id = nested.tool_call_id
where seen.tool_call_id <> seen.item_id;

create or replace view responses as
select
    heads.item_id as response_id,
    heads.session_id,
    heads.branch_id,
    heads.run_id,
    heads.turn_number,
    heads.item_id as anchor_item_id,
    heads.agent_name,
    response_rows.model,
    from_json(response_rows.offered_tools, '["varchar"]') as offered_tools,
    response_rows.provider_response_id,
    response_rows.request_count,
    response_rows.input_tokens,
    response_rows.output_tokens,
    response_rows.cache_read_input_tokens,
    response_rows.cache_write_input_tokens,
    response_rows.reasoning_output_tokens,
    response_rows.total_tokens,
    response_rows.finish_reason,
    response_rows.started_at,
    response_rows.ended_at,
    date_diff('microseconds', response_rows.started_at, response_rows.ended_at)
    / 1000000.0 as duration_seconds,
    response_rows.elapsed_seconds,
    response_rows.error_type,
    response_rows.error,
    response_rows.parent_tool_call_id,
    true as has_items,
    response_rows.trace_id,
    response_rows.span_id,
    response_rows.workflow_name,
    response_rows.group_id,
    heads.created_at,
    heads.is_current,
    heads.is_archived,
from placed_items as heads
left join response_rows on heads.item_id = response_rows.response_id
where heads.response_id = heads.item_id and heads.operation <> 'fork'
union all
-- Model calls whose items nobody stored.
select
    response_rows.response_id,
    places.session_id,
    places.branch_id,
    response_rows.run_id,
    places.turn_number,
    response_rows.item_id,
    response_rows.agent_name,
    response_rows.model,
    from_json(response_rows.offered_tools, '["varchar"]'),
    response_rows.provider_response_id,
    response_rows.request_count,
    response_rows.input_tokens,
    response_rows.output_tokens,
    response_rows.cache_read_input_tokens,
    response_rows.cache_write_input_tokens,
    response_rows.reasoning_output_tokens,
    response_rows.total_tokens,
    response_rows.finish_reason,
    response_rows.started_at,
    response_rows.ended_at,
    date_diff('microseconds', response_rows.started_at, response_rows.ended_at) / 1000000.0,
    response_rows.elapsed_seconds,
    response_rows.error_type,
    response_rows.error,
    response_rows.parent_tool_call_id,
    false,
    response_rows.trace_id,
    response_rows.span_id,
    response_rows.workflow_name,
    response_rows.group_id,
    coalesce(response_rows.ended_at, places.created_at),
    places.is_current,
    places.is_archived,
from response_rows
inner join placed_items as places on response_rows.item_id = places.item_id
where response_rows.response_id <> response_rows.item_id;

create or replace view outcomes as
select
    outcome_rows.outcome_id,
    places.session_id,
    places.branch_id,
    outcome_rows.run_id,
    places.turn_number,
    outcome_rows.item_id as anchor_item_id,
    outcome_rows.outcome,
    outcome_rows.error_type,
    outcome_rows.error,
    outcome_rows.started_at,
    outcome_rows.ended_at,
    date_diff('microseconds', outcome_rows.started_at, outcome_rows.ended_at)
    / 1000000.0 as duration_seconds,
    outcome_rows.trace_id,
    outcome_rows.workflow_name,
    outcome_rows.group_id,
    places.is_current,
    places.is_archived,
from outcome_rows
inner join placed_items as places on outcome_rows.item_id = places.item_id;

create or replace view guardrails as
select
    guardrail_rows.guardrail_id,
    places.session_id,
    places.branch_id,
    guardrail_rows.run_id,
    places.turn_number,
    guardrail_rows.item_id as anchor_item_id,
    guardrail_rows.guardrail_name,
    guardrail_rows.is_triggered,
    guardrail_rows.agent_name,
    guardrail_rows.started_at,
    guardrail_rows.ended_at,
    date_diff('microseconds', guardrail_rows.started_at, guardrail_rows.ended_at)
    / 1000000.0 as duration_seconds,
    guardrail_rows.trace_id,
    guardrail_rows.span_id,
    places.is_current,
    places.is_archived,
from guardrail_rows
inner join placed_items as places on guardrail_rows.item_id = places.item_id;

create or replace view runs as
with

spans as (
    select
        run_id,
        any_value(session_key) as session_key,
        any_value(branch_id) as branch_id,
        any_value(turn_number) as turn_number,
        any_value(user_item_id) as user_item_id,
        any_value(forked_run_id) as forked_run_id,
        min(created_at) as created_at,
        max(created_at) as ended_at,
        bool_or(is_current or is_archived) as is_live,
        bool_or(is_current) as is_current,
        count(*) filter (where role = 'user') as user_message_count,
        -- Ids only: texts carried through the aggregate cost more than all else together.
        max(item_id) filter (where role = 'assistant' and text is not null) as last_answer_id,
        max(item_id) filter (
            where role = 'assistant' and text is not null and (is_current or is_archived)
        ) as live_answer_id,
        max(item_id) filter (
            where part <> 'input' and (is_current or is_archived)
        ) as live_last_id,
        max(item_id) filter (
            where part <> 'input' and item_type = 'message' and (is_current or is_archived)
        ) as live_message_id,
        count(*) filter (where response_id = item_id) as response_count,
        count(*) filter (where handoff_to is not null) as handoff_count,
        max(item_id) as last_id,
    from placed_items
    -- What a compaction put there is no run, and the runs of a forked session's copy are another's.
    where operation not in ('compact', 'fork')
    group by run_id
),

-- Only the few runs whose input was more than one user message, or was begun over in its middle.
joined_messages as (
    select
        placed_items.run_id,
        string_agg(
            placed_items.text, e'\n\n' order by placed_items.item_id asc
        ) as user_message,
    from placed_items
    inner join spans
        on placed_items.run_id = spans.run_id
        and (spans.user_message_count > 1 or spans.forked_run_id is not null)
    where placed_items.role = 'user' and placed_items.operation <> 'compact'
    group by placed_items.run_id
),

calls as (
    select
        run_id,
        count(*) as tool_call_count,
        count(*) filter (where status = 'error') as tool_error_count,
        -- Sorting each short list costs less than an ordered aggregate.
        list_transform(
            list_sort(list(struct_pack(id := id, tool_name := tool_name))),
            lambda call: call.tool_name
        ) as tool_names,
        min(started_at) as called_at,
    from tool_calls
    group by run_id
),

tokens as (
    select
        run_id,
        count(*) filter (where response_id <> item_id) as unseen_count,
        sum(input_tokens)::bigint as input_tokens,
        sum(output_tokens)::bigint as output_tokens,
        sum(cache_read_input_tokens)::bigint as cache_read_input_tokens,
        sum(cache_write_input_tokens)::bigint as cache_write_input_tokens,
        sum(reasoning_output_tokens)::bigint as reasoning_output_tokens,
        sum(total_tokens)::bigint as total_tokens,
        min(ended_at) filter (where error_type is null and error is null) as responded_at,
    from response_rows
    group by run_id
),

-- A run can be set going more than once, when it waited for an approval. How it ended is known
-- where nothing was added after that.
ends as (
    select
        outcome_rows.run_id,
        if(
            max(outcome_rows.item_id) >= any_value(spans.last_id),
            arg_max(
                struct_pack(
                    outcome := outcome_rows.outcome,
                    error_type := outcome_rows.error_type,
                    error := outcome_rows.error
                ),
                outcome_rows.outcome_id
            ),
            null
        ) as last_end,
        max(outcome_rows.ended_at) as ended_at,
        sum(date_diff('microseconds', outcome_rows.started_at, outcome_rows.ended_at))
        / 1000000.0 as working_seconds,
    from outcome_rows
    inner join spans on outcome_rows.run_id = spans.run_id
    group by outcome_rows.run_id
),

-- A run begun over in its middle: what was kept of it belongs to the run that goes on from there.
begun_over as (
    select
        forked_run_id as run_id,
        bool_or(is_live) as is_live,
    from spans
    where forked_run_id is not null
    group by forked_run_id
)

select
    spans.run_id as id,
    session_rows.session_id,
    -- A run begun over between two messages of its input shares the first with another run.
    case
        when joined_messages.user_message is null then openings.text
        when openings.run_id <> spans.run_id
            then concat(openings.text, e'\n\n', joined_messages.user_message)
        else joined_messages.user_message
    end as user_message,
    answers.text as assistant_message,
    spans.created_at,
    spans.branch_id,
    spans.turn_number,
    case
        when not spans.is_live or coalesce(begun_over.is_live, false) then 'superseded'
        when ends.last_end.outcome in ('error', 'max_turns', 'guardrail') then 'error'
        when ends.last_end.outcome = 'cancelled' then 'interrupted'
        when spans.live_last_id is null then 'unanswered'
        when ends.last_end.outcome is not null then ends.last_end.outcome
        when spans.live_last_id = spans.live_message_id then 'completed'
        else 'interrupted'
    end as status,
    greatest(spans.ended_at, ends.ended_at) as ended_at,
    date_diff('microseconds', spans.created_at, greatest(spans.ended_at, ends.ended_at))
    / 1000000.0 as duration_seconds,
    ends.working_seconds,
    date_diff('microseconds', spans.created_at, tokens.responded_at)
    / 1000000.0 as first_response_seconds,
    date_diff('microseconds', spans.created_at, calls.called_at)
    / 1000000.0 as first_tool_call_seconds,
    ends.last_end.outcome,
    ends.last_end.error_type,
    ends.last_end.error,
    spans.response_count + coalesce(tokens.unseen_count, 0) as response_count,
    coalesce(calls.tool_call_count, 0) as tool_call_count,
    coalesce(calls.tool_error_count, 0) as tool_error_count,
    spans.handoff_count,
    tokens.input_tokens,
    tokens.output_tokens,
    tokens.cache_read_input_tokens,
    tokens.cache_write_input_tokens,
    tokens.reasoning_output_tokens,
    tokens.total_tokens,
    coalesce(calls.tool_names, []::varchar[]) as tool_names,
    spans.user_item_id,
    spans.forked_run_id,
    spans.is_current and not coalesce(begun_over.is_live, false) as is_current,
from spans
inner join session_rows on spans.session_key = session_rows.session_key
left join joined_messages on spans.run_id = joined_messages.run_id
-- Texts are what is large. Each of these two holds a text a run at most, and says so with conditions
-- from which DuckDB takes it for the smaller side: else it puts the runs into the hash table, with
-- all that they have by then, and a million of them do not fit into 2 GB.
left join (
    select
        item_id,
        run_id,
        text,
    from item_rows
    where role = 'user' and item_id = user_item_id
) as openings on spans.user_item_id = openings.item_id
left join calls on spans.run_id = calls.run_id
left join tokens on spans.run_id = tokens.run_id
left join ends on spans.run_id = ends.run_id
left join begun_over on spans.run_id = begun_over.run_id
left join (
    select
        item_id,
        text,
    from item_rows
    where role = 'assistant' and text is not null and item_id >= run_id
) as answers
    on answers.item_id = case
        when spans.is_live and not coalesce(begun_over.is_live, false) then spans.live_answer_id
        else spans.last_answer_id
    end;

create or replace view branches as
select
    branch_rows.branch_id,
    session_rows.session_id,
    branch_rows.name,
    branch_rows.parent_branch_id,
    branch_rows.fork_position,
    branch_rows.kind,
    branch_rows.created_at,
    current_branches.branch_id is not null as is_current,
    deleted_branches.deleted_at,
from branch_rows
inner join session_rows on branch_rows.session_key = session_rows.session_key
left join current_branches on branch_rows.branch_id = current_branches.branch_id
left join deleted_branches on branch_rows.branch_id = deleted_branches.branch_id;

create or replace view branch_items as
select
    branch_stretches.branch_id,
    item_rows.position + branch_stretches.position_offset as position,
    item_rows.item_id,
from branch_stretches
inner join item_rows
    on branch_stretches.source_branch_id = item_rows.branch_id
    and item_rows.position between branch_stretches.first_position
    and branch_stretches.last_position
anti join deleted_branches on branch_stretches.branch_id = deleted_branches.branch_id
where not branch_stretches.is_archived;

create or replace view history as
select
    changes.history_id,
    session_rows.session_id,
    changes.operation,
    changes.from_branch_id,
    changes.from_position,
    changes.to_branch_id,
    changes.to_position,
    changes.created_at,
from (
    select
        batch_id as history_id,
        any_value(session_key) as session_key,
        case
            when any_value(operation) = 'compact' then 'append'
            else any_value(operation)
        end as operation,
        any_value(branch_id) as from_branch_id,
        min(position) - 1 as from_position,
        any_value(branch_id) as to_branch_id,
        max(position) as to_position,
        min(created_at) as created_at,
    from item_rows
    group by batch_id
    union all
    select
        move_id,
        session_key,
        operation,
        from_branch_id,
        from_position,
        to_branch_id,
        to_position,
        created_at,
    from move_rows
) as changes
inner join session_rows on changes.session_key = session_rows.session_key;

create or replace view edit_points as
with

-- Only the first item of a branch can be an alternative to something.
fork_points as (
    select distinct
        first_items.session_key,
        coalesce(first_items.parent_item_id, 0) as parent_item_id,
    from item_rows as first_items
    inner join branch_rows
        on first_items.branch_id = branch_rows.branch_id
        and first_items.position = branch_rows.fork_position + 1
    where branch_rows.parent_branch_id is not null
),

-- Keys only: the wide columns are fetched at the end, for the few items that are alternatives.
siblings as (
    select
        item_rows.item_id,
        item_rows.session_key,
        item_rows.parent_item_id,
        branch_rows.kind as branch_kind,
        item_rows.position = branch_rows.fork_position + 1
        and branch_rows.parent_branch_id is not null as begins_branch,
        row_number() over (
            partition by item_rows.session_key, item_rows.parent_item_id
            order by item_rows.item_id asc
        ) as rank,
        count(*) over (
            partition by item_rows.session_key, item_rows.parent_item_id
        ) as alternative_count,
    from item_rows
    inner join fork_points
        on item_rows.session_key = fork_points.session_key
        and coalesce(item_rows.parent_item_id, 0) = fork_points.parent_item_id
    inner join branch_rows on item_rows.branch_id = branch_rows.branch_id
),

alternatives as (
    select
        item_id,
        rank,
        alternative_count,
        -- What was there before anything else takes the kind of the first that was put beside it.
        case
            when begins_branch then branch_kind
            else arg_min(branch_kind, item_id) filter (where begins_branch) over (
                partition by session_key, parent_item_id
            )
        end as kind,
    from siblings
    where alternative_count > 1
)

select
    placed_items.session_id,
    placed_items.parent_item_id as item_before_id,
    placed_items.item_id as alternative_item_id,
    placed_items.branch_id,
    alternatives.kind,
    alternatives.rank,
    alternatives.alternative_count,
    placed_items.position,
    placed_items.turn_number,
    placed_items.run_id,
    placed_items.role,
    placed_items.item_type,
    case
        when placed_items.text is null and placed_items.call_index is not null
            then concat(placed_items.tool_name, '(', coalesce(placed_items.arguments, ''), ')')
        else placed_items.text
    end as text,
    placed_items.created_at,
    placed_items.is_current,
    placed_items.is_archived,
from alternatives
inner join placed_items on alternatives.item_id = placed_items.item_id;

create or replace view sessions as
select
    session_rows.session_id,
    session_rows.title,
    session_rows.user_id,
    from_json(session_rows.tags, '["varchar"]') as tags,
    session_rows.metadata::json as metadata,
    session_rows.source,
    session_rows.created_at,
    greatest(session_rows.created_at, activity.updated_at, moves.updated_at) as updated_at,
    current_branches.branch_id as current_branch_id,
    session_rows.parent_session_id,
    session_rows.parent_item_id,
    coalesce(activity.item_count, 0) as item_count,
    coalesce(activity.run_count, 0) as run_count,
    openings.text as first_user_message,
from session_rows
inner join current_branches on session_rows.session_key = current_branches.session_key
left join (
    select
        session_key,
        max(created_at) as updated_at,
        count(*) as item_count,
        count(*) filter (
            where run_id = item_id and operation not in ('fork', 'compact')
        ) as run_count,
        min(user_item_id) as user_item_id,
    from item_rows
    group by session_key
) as activity on session_rows.session_key = activity.session_key
left join (
    select
        session_key,
        max(created_at) as updated_at,
    from move_rows
    group by session_key
) as moves on session_rows.session_key = moves.session_key
left join item_rows as openings on activity.user_item_id = openings.item_id;

-- One row per price that holds, with where the next one begins. Where the user has any price for a
-- model, those of the price list do not count.
create or replace view price_cells as
select
    *,
    first_value(valid_from) over (
        partition by model
        order by valid_from asc nulls first
        groups between 1 following and 1 following
    ) as valid_until,
    first_value(daily_from) over (
        partition by model, valid_from
        order by daily_from asc
        groups between 1 following and 1 following
    ) as daily_until,
    lead(above_input_tokens) over (
        partition by model, valid_from, daily_from
        order by above_input_tokens asc
    ) as up_to_input_tokens,
from price_rows
where
    source = 'user'
    or model not in (select model from price_rows where source = 'user');

-- Prices as people give them: of a million tokens, and of one request, in the currency.
create or replace view prices as
select
    model,
    currency,
    valid_from,
    valid_until,
    case
        when daily_from > '00:00' or daily_until is not null
            then strftime(date '1970-01-01' + daily_from, '%H:%M')
    end as daily_from,
    case
        when daily_from > '00:00' or daily_until is not null
            then strftime(date '1970-01-01' + coalesce(daily_until, '00:00'), '%H:%M')
    end as daily_until,
    above_input_tokens,
    up_to_input_tokens,
    input_price / 1000000.0::double as input_price,
    coalesce(cache_read_price, input_price) / 1000000.0::double as cache_read_price,
    coalesce(cache_write_price, input_price) / 1000000.0::double as cache_write_price,
    output_price / 1000000.0::double as output_price,
    request_price / 1000000.0::double as request_price,
    source as price_source,
    price_date,
from price_cells;

-- What each response cost, in millionths of the currency.
create or replace view costs as
with

-- Bounds that are numbers and moments, so that the join is one hash join, whatever the time zone
-- of who asks.
bounds as (
    select
        model,
        currency,
        input_price,
        coalesce(cache_read_price, input_price) as cache_read_price,
        coalesce(cache_write_price, input_price) as cache_write_price,
        output_price,
        coalesce(request_price, 0) as request_price,
        source,
        price_date,
        coalesce(timezone('UTC', valid_from::timestamp), '-infinity') as first_moment,
        coalesce(timezone('UTC', valid_until::timestamp), 'infinity') as end_moment,
        epoch_us(daily_from) as first_time,
        coalesce(epoch_us(daily_until), 86400000000) as end_time,
        -- A price for any request is one for a request without input tokens too.
        if(above_input_tokens = 0, -1, above_input_tokens) as above_input_tokens,
        coalesce(up_to_input_tokens, 9223372036854775807) as up_to_input_tokens,
    from price_cells
),

used as (
    select
        response_id,
        session_id,
        run_id,
        agent_name,
        model,
        created_at,
        epoch_us(created_at) % 86400000000 as time_of_day,
        greatest(coalesce(request_count, 1), 1) as paid_request_count,
        input_tokens,
        cache_read_input_tokens,
        cache_write_input_tokens,
        output_tokens,
        case
            when input_tokens is not null then coalesce(cache_read_input_tokens, 0)
        end as read_tokens,
        case
            when input_tokens is not null then coalesce(cache_write_input_tokens, 0)
        end as written_tokens,
        is_current,
        is_archived,
    from responses
    where model is not null or input_tokens is not null or output_tokens is not null
),

-- Amounts are in millionths of millionths, which no number of tokens that a column holds overflows.
-- Tokens that were read from the cache or written to it are among the input tokens; a provider that
-- tells more of them than input tokens is not paid back.
amounts as (
    select
        used.*,
        bounds.currency,
        greatest(used.input_tokens::hugeint - used.read_tokens - used.written_tokens, 0)
        * bounds.input_price as input_amount,
        used.read_tokens::hugeint * bounds.cache_read_price as cache_read_amount,
        used.written_tokens::hugeint * bounds.cache_write_price as cache_write_amount,
        used.output_tokens::hugeint * bounds.output_price as output_amount,
        used.paid_request_count::hugeint * bounds.request_price as request_cost,
        bounds.source,
        bounds.price_date,
    from used
    left join bounds
        on used.model = bounds.model
        and used.created_at >= bounds.first_moment
        and used.created_at < bounds.end_moment
        and used.time_of_day >= bounds.first_time
        and used.time_of_day < bounds.end_time
        -- Where a row stands for several requests, only the size of a middling one is known.
        and coalesce(used.input_tokens, 0) // used.paid_request_count > bounds.above_input_tokens
        and coalesce(used.input_tokens, 0) // used.paid_request_count <= bounds.up_to_input_tokens
)

-- Each cost is rounded to the nearest millionth, a half up. The total is the rounded sum and not
-- the sum of what was rounded, from which it can differ by two.
select
    response_id,
    session_id,
    run_id,
    agent_name,
    model,
    created_at,
    input_tokens,
    cache_read_input_tokens,
    cache_write_input_tokens,
    output_tokens,
    currency,
    try_cast((input_amount + 500000) // 1000000 as bigint) as input_cost,
    try_cast((cache_read_amount + 500000) // 1000000 as bigint) as cache_read_cost,
    try_cast((cache_write_amount + 500000) // 1000000 as bigint) as cache_write_cost,
    try_cast((output_amount + 500000) // 1000000 as bigint) as output_cost,
    try_cast(request_cost as bigint) as request_cost,
    try_cast(
        (
            input_amount + cache_read_amount + cache_write_amount + output_amount + 500000
        ) // 1000000 + request_cost as bigint
    ) as total_cost,
    source as price_source,
    price_date,
    is_current,
    is_archived,
from amounts;
