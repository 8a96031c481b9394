-- What goes wrong in each tool, by type of error.
--
-- One row per tool and type of error; where no type is known, per tool and shape of the error's
-- text. The shape is the first line of the error, or of the output where only that tells of it,
-- with quoted texts as "...", numbers and ids as #, cut to 100 characters: errors that differ in a
-- name or a number are one row. Only what failed counts, and not what a person refused. The share
-- is that of the tool's failures. What runs in an agent that is a tool counts too.
--
-- read: The rows of a tool add up to its error_count in `tool_usage`; a few rows with large shares
-- are a few causes. Many runs in one row are a fault of the tool or of its description, one run
-- with many errors an agent that does not give up. last_failed_at tells what is over.
--
-- act: Start with the first row: read its example and go to last_call_id in `tool_calls` for the
-- arguments. See with `after_tool_failure` what the agent makes of the message, and with
-- `tool_recovery` whether it gets by.
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
--     Only calls that this agent made.
-- param tool_name: varchar = null
--     Only this tool.
-- param include_superseded: boolean = true
--     Also calls on paths that an edit replaced: they were made and paid for.
-- param row_limit: bigint = null
--     Return at most this many types of error, the most frequent first.

with

failed as (
    select
        id,
        session_id,
        run_id,
        tool_name,
        created_at,
        error_type,
        coalesce(error, output) as error_text
    from tool_calls
    where
        status = 'error'
        and ($session_id::varchar is null or session_id = $session_id)
        and ($since::timestamptz is null or created_at >= $since)
        and ($until::timestamptz is null or created_at < $until)
        and ($agent_name::varchar is null or agent_name = $agent_name)
        and ($tool_name::varchar is null or tool_name = $tool_name)
        and ($include_superseded::boolean or is_current or is_archived)
),

-- 500 characters are more than the shape shows, and few enough to go through quickly.
opened as (
    select
        id,
        session_id,
        run_id,
        tool_name,
        created_at,
        error_type,
        error_text,
        case
            when error_type is null
                then left(trim(regexp_extract(ltrim(error_text, e' \t\r\n'), '^[^\r\n]*')), 500)
        end as first_line
    from failed
),

-- A quote after a letter or a digit is an apostrophe.
unquoted as (
    select
        id,
        session_id,
        run_id,
        tool_name,
        created_at,
        error_type,
        error_text,
        regexp_replace(
            regexp_replace(first_line, '["`][^"`]*["`]', '"..."', 'g'),
            '(^|[^[:alnum:]])''[^'']*''',
            '\1"..."',
            'g'
        ) as first_line
    from opened
),

-- UUIDs, what begins like a number or hexadecimal digits, then digits anywhere. Numbers that only
-- dots and the like part, as those of a moment, are one.
shaped as (
    select
        id,
        session_id,
        run_id,
        tool_name,
        created_at,
        error_type,
        error_text,
        left(
            regexp_replace(
                regexp_replace(
                    regexp_replace(
                        regexp_replace(
                            first_line,
                            '[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}',
                            '#',
                            'g'
                        ),
                        '(^|[^0-9a-zA-Z])(0x[0-9a-fA-F]+|[0-9a-fA-F]*[0-9][0-9a-fA-F]*)',
                        '\1#',
                        'g'
                    ),
                    '[0-9]+',
                    '#',
                    'g'
                ),
                '#([-.,:]*#)+',
                '#',
                'g'
            ),
            100
        ) as error_shape
    from unquoted
),

counted as (
    select
        tool_name,
        error_type,
        error_shape,
        count(*) as error_count,
        count(distinct session_id) as session_count,
        count(distinct run_id) as run_count,
        min(created_at) as first_failed_at,
        max(created_at) as last_failed_at,
        max(id) as last_call_id,
        arg_max(error_text, id) as example_error
    from shaped
    group by tool_name, error_type, error_shape
)

select
    tool_name,
    error_type,
    error_shape,
    error_count,
    session_count,
    run_count,
    first_failed_at,
    last_failed_at,
    last_call_id,
    example_error,
    error_count / sum(error_count) over (partition by tool_name)::double as error_share
from counted
order by
    error_count desc,
    tool_name asc nulls last,
    error_type asc nulls last,
    error_shape asc nulls last
limit $row_limit
