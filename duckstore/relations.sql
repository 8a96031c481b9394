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
    inner join current_branches on branch_stretches.branch_id = current_branches.branch_id
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
    calls.agent_name,
    calls.tool_type,
    calls.server_label,
    coalesce(outputs.status, calls.status, 'pending') as status,
    coalesce(outputs.error, calls.error) as error,
    coalesce(outputs.status_source, calls.status_source, 'default') as status_source,
    calls.call_index,
    calls.parallel_count,
    outputs.item_id as output_item_id,
    outputs.handoff_to,
    -- NULL until something that saw the tool run tells: the items do not.
    null::timestamptz as started_at,
    null::timestamptz as ended_at,
    null::double as duration_seconds,
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
-- What a session was forked with was called in the other one.
where calls.call_index is not null and calls.operation <> 'fork';

create or replace view responses as
select
    heads.item_id as response_id,
    heads.session_id,
    heads.branch_id,
    heads.run_id,
    heads.turn_number,
    heads.agent_name,
    response_rows.model,
    response_rows.request_count,
    response_rows.input_tokens,
    response_rows.output_tokens,
    response_rows.cache_read_input_tokens,
    response_rows.cache_creation_input_tokens,
    response_rows.reasoning_output_tokens,
    response_rows.total_tokens,
    response_rows.finish_reason,
    response_rows.started_at,
    response_rows.ended_at,
    date_diff('microseconds', response_rows.started_at, response_rows.ended_at)
    / 1000000.0 as duration_seconds,
    response_rows.trace_id,
    response_rows.workflow_name,
    response_rows.group_id,
    heads.created_at,
    heads.is_current,
    heads.is_archived,
from placed_items as heads
left join response_rows on heads.item_id = response_rows.response_id
where heads.response_id = heads.item_id and heads.operation <> 'fork';

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
    from tool_calls
    group by run_id
),

tokens as (
    select
        head.run_id,
        sum(response_rows.input_tokens)::bigint as input_tokens,
        sum(response_rows.output_tokens)::bigint as output_tokens,
        sum(response_rows.cache_read_input_tokens)::bigint as cache_read_input_tokens,
        sum(response_rows.reasoning_output_tokens)::bigint as reasoning_output_tokens,
        sum(response_rows.total_tokens)::bigint as total_tokens,
    from response_rows
    inner join item_rows as head on response_rows.response_id = head.item_id
    group by head.run_id
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
        when spans.live_last_id is null then 'unanswered'
        when spans.live_last_id = spans.live_message_id then 'completed'
        else 'interrupted'
    end as status,
    spans.ended_at,
    date_diff('microseconds', spans.created_at, spans.ended_at) / 1000000.0 as duration_seconds,
    spans.response_count,
    coalesce(calls.tool_call_count, 0) as tool_call_count,
    coalesce(calls.tool_error_count, 0) as tool_error_count,
    spans.handoff_count,
    tokens.input_tokens,
    tokens.output_tokens,
    tokens.cache_read_input_tokens,
    tokens.reasoning_output_tokens,
    tokens.total_tokens,
    coalesce(calls.tool_names, []::varchar[]) as tool_names,
    spans.user_item_id,
    spans.forked_run_id,
    spans.is_current and not coalesce(begun_over.is_live, false) as is_current,
from spans
inner join session_rows on spans.session_key = session_rows.session_key
left join joined_messages on spans.run_id = joined_messages.run_id
left join item_rows as openings on spans.user_item_id = openings.item_id
left join calls on spans.run_id = calls.run_id
left join tokens on spans.run_id = tokens.run_id
left join begun_over on spans.run_id = begun_over.run_id
left join item_rows as answers
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
        count(*) filter (where run_id = item_id and operation <> 'fork') as run_count,
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
