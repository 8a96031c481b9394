-- The tables that duckstore writes. Users read the relations in relations.sql.
--
-- Rows are appended and not updated. There are no foreign keys and almost no indexes: DuckDB
-- pays for both on every commit, and the one writer keeps the rules that `duckstore check`
-- verifies. Every id in the store comes from one counter, so that ids tell the order in which
-- things happened, over all tables, and the items of a session all have ids above its key.

create table store_meta (
    key varchar not null,
    value varchar not null,
);

create table session_rows (
    session_key bigint not null,            -- also the branch_id of the session's first branch
    session_id varchar not null unique,
    created_at timestamptz not null,
    title varchar,
    user_id varchar,
    tags varchar not null,                  -- JSON array of strings
    metadata varchar not null,              -- JSON object
    source varchar,
    parent_session_id varchar,
    parent_item_id bigint,
);

-- The tree. An item names its parent once and is never moved.
create table item_rows (
    item_id bigint not null,
    session_key bigint not null,
    branch_id bigint not null,              -- the branch that it was written on
    position bigint not null,               -- 1.. along the path it was written on
    parent_item_id bigint,
    batch_id bigint not null,               -- item_id of the first item of its batch
    operation varchar not null,             -- append, import or compact
    run_id bigint not null,                 -- item_id of the first item of its run
    forked_run_id bigint,                   -- the run that this one shares its opening with
    turn_number bigint not null,
    user_item_id bigint,                    -- the user message that its run answers
    response_id bigint,                     -- item_id of the first item of its response
    answers_item_id bigint,                 -- the call that this output belongs to
    answer_number bigint,                   -- above 1 where the call had an output before
    call_index bigint,                      -- 1.. within the response; set on tool calls only
    parallel_count bigint,
    part varchar not null,                  -- who made it: input, model or output
    item_type varchar,
    role varchar,
    call_id varchar,
    tool_name varchar,
    tool_type varchar,
    server_label varchar,
    agent_name varchar,
    status varchar,
    status_source varchar,
    error varchar,
    handoff_to varchar,
    arguments varchar,
    text varchar,
    item varchar not null,                  -- the raw item, ASCII JSON: the truth
    created_at timestamptz not null,
);

-- What was seen of a model call beyond its items. One whose items nobody stored, because an agent
-- that was a tool made it, or a guardrail or an error came after it, has an id of its own, and the
-- item that it followed.
create table response_rows (
    response_id bigint not null,            -- item_id of the first item of the response, or its own
    session_key bigint not null,
    item_id bigint not null,                -- the same, or the item that it came after
    run_id bigint not null,
    parent_tool_call_id bigint,             -- the tool call in which it was made
    agent_name varchar,                     -- of one without items; else the items have it
    model varchar,
    provider_response_id varchar,
    request_count bigint,
    input_tokens bigint,
    output_tokens bigint,
    cache_read_input_tokens bigint,
    cache_write_input_tokens bigint,
    reasoning_output_tokens bigint,
    total_tokens bigint,
    finish_reason varchar,
    started_at timestamptz,
    ended_at timestamptz,
    elapsed_seconds double,                 -- since its run last read or wrote the session
    error_type varchar,
    error varchar,
    span_id varchar,
    trace_id varchar,
    workflow_name varchar,
    group_id varchar,
    offered_tools varchar,                  -- JSON array of strings; null: nobody told
);

-- What was seen of a tool call by something that watched it.
create table call_rows (
    tool_call_id bigint not null,           -- item_id of the call, or its own where it has no item
    session_key bigint not null,
    item_id bigint not null,                -- the same, or the item that it came after
    run_id bigint not null,
    parent_tool_call_id bigint,             -- the tool call in which it was made
    agent_name varchar,                     -- these five of one without an item
    tool_name varchar,
    call_id varchar,
    arguments varchar,
    output varchar,
    started_at timestamptz,
    ended_at timestamptz,
    overlap_seconds double,                 -- while another call of its response ran too
    status varchar,
    status_source varchar,
    error_type varchar,
    error varchar,
    approval varchar,                       -- asked, granted or refused
    decided_at timestamptz,                 -- when a person had decided who was asked
    span_id varchar,
    trace_id varchar,
);

-- How the SDK's runner ended: once for each time that it was set going for a run.
create table outcome_rows (
    outcome_id bigint not null,
    session_key bigint not null,
    item_id bigint not null,                -- the item that it came after
    run_id bigint not null,
    outcome varchar not null,               -- completed, interrupted, max_turns, guardrail,
                                            -- cancelled or error
    error_type varchar,
    error varchar,
    started_at timestamptz,
    ended_at timestamptz,
    trace_id varchar,
    workflow_name varchar,
    group_id varchar,
);

create table guardrail_rows (
    guardrail_id bigint not null,
    session_key bigint not null,
    item_id bigint not null,                -- the item that it came after
    run_id bigint not null,
    guardrail_name varchar not null,
    is_triggered boolean not null,
    agent_name varchar,
    started_at timestamptz,
    ended_at timestamptz,
    span_id varchar,
    trace_id varchar,
);

-- What tokens cost, in millionths of the currency for a million tokens. The prices of a model are
-- a grid: each holds from its day on until that of the next, of one day from its time of day on,
-- and of one time for requests with more input tokens than its threshold. So that one at most
-- holds for a response.
create table price_rows (
    model varchar not null,                 -- as it stands in the responses
    source varchar not null,                -- user, or the price list and its version
    currency varchar not null,
    valid_from date,                        -- UTC; null: always
    daily_from time not null,               -- UTC; 00:00 where the time of day does not matter
    above_input_tokens bigint not null,     -- 0: any request
    input_price bigint not null,
    cache_read_price bigint,                -- null: as input
    cache_write_price bigint,            -- null: as input
    output_price bigint not null,
    request_price bigint,                   -- millionths of the currency for one request
    price_date date,                        -- of the price list; null where it does not tell
);

create table branch_rows (
    branch_id bigint not null,
    session_key bigint not null,
    name varchar not null,
    parent_branch_id bigint,
    fork_position bigint not null,          -- how many items of the path it shares with its parent
    kind varchar not null,                  -- root, edit, regenerate, fork or compact
    created_at timestamptz not null,
);

-- Which stretch of which other branch is visible on a branch: written once, with the branch.
-- Positions are those of the source branch; position_offset turns them into the branch's own.
create table lineage_rows (
    branch_id bigint not null,
    session_key bigint not null,
    source_branch_id bigint not null,
    first_position bigint not null,
    last_position bigint not null,
    position_offset bigint not null,
    archived_at bigint,                     -- set where a compaction replaced the stretch:
                                            -- the number of items on the path before it
);

-- Every change of a session's path that is not an append.
create table move_rows (
    move_id bigint not null,
    session_key bigint not null,
    operation varchar not null,
    from_branch_id bigint,
    from_position bigint,
    to_branch_id bigint,
    to_position bigint,
    end_position bigint,                    -- the last position visible on to_branch from now on
    created_at timestamptz not null,
);

-- The latest request of each client process, with what it was told: a client whose owner died
-- repeats its request, and must neither be told something else nor have it done twice.
create table request_rows (
    client_id varchar not null,
    request_number bigint not null,
    session_key bigint,
    answer varchar not null,                -- JSON object: answer, and error as class and text
    created_at timestamptz not null,
);
