-- Every user message with the answer that it got.
--
-- One row per run. A run that was interrupted or is unanswered has no answer, or only the words
-- that came before it stopped; a conversation that the assistant opens has a first run without a
-- user message. A run that an edit replaced is left out unless asked for. Where an answer was
-- regenerated, calls and tokens from before the old answer count with the run it replaced.
--
-- read: A NULL assistant_message is a question without an answer; status says why. Read the pairs
-- side by side, the longest durations first, to see what the agent does all day.
--
-- act: Take the pairs as they are for an evaluation set. Look into a session with `duckstore show`
-- where an answer does not fit its question.
--
-- scope: session
--
-- param session_id: varchar = null
--     Only this session.
-- param since: timestamptz = null
--     Ignore runs that began before this moment.
-- param until: timestamptz = null
--     Ignore runs that began at or after this moment.
-- param include_superseded: boolean = false
--     Also runs that are no longer on their session's path.
-- param row_limit: bigint = null
--     Return at most this many runs, the earliest first.

select
    session_id,
    turn_number,
    id as run_id,
    branch_id,
    status,
    user_message,
    assistant_message,
    tool_call_count,
    tool_names,
    total_tokens,
    created_at,
    duration_seconds
from runs
where
    ($session_id::varchar is null or session_id = $session_id)
    and ($since::timestamptz is null or created_at >= $since)
    and ($until::timestamptz is null or created_at < $until)
    and ($include_superseded::boolean or status <> 'superseded')
order by session_id asc, turn_number asc, id asc
limit $row_limit
