-- Which questions got no answer, and what came after them.
--
-- One row per run on its session's path that is not completed: one to which nothing came, one that
-- was interrupted or waits for an approval, one that failed. The assistant's message is what it
-- said before it stopped. Silence is the time from the end of the run to the next question on the
-- path, or, where none came, to the last item of the store.
--
-- read: Where is_last is true the conversation ended there: that person left without an answer,
-- or still waits for one. Otherwise next_status tells whether the next question was answered. The
-- longest silence comes first.
--
-- act: Answer those who still wait. See with `reformulations` whether the others had to ask again,
-- and with `turn_outcomes` what the failures are.
--
-- scope: store
--
-- param session_id: varchar = null
--     Only runs in this session.
-- param since: timestamptz = null
--     Ignore runs that began before this moment.
-- param until: timestamptz = null
--     Ignore runs that began at or after this moment.
-- param row_limit: bigint = null
--     Return at most this many runs, those of the longest silence first.

with

path as (
    select
        id,
        status,
        created_at,
        ended_at,
        lead(id) over next_turn as next_run_id,
        lead(status) over next_turn as next_status,
        lead(created_at) over next_turn as next_at
    from runs
    where
        status <> 'superseded'
        and ($session_id::varchar is null or session_id = $session_id)
    window next_turn as (partition by session_id order by turn_number asc, id asc)
),

unanswered as (
    select
        id,
        next_run_id,
        next_status,
        coalesce(next_at, (select max(items.created_at) from items)) as silent_until
    from path
    where
        status <> 'completed'
        and ($since::timestamptz is null or created_at >= $since)
        and ($until::timestamptz is null or created_at < $until)
),

told as (
    select
        id,
        session_id,
        turn_number,
        status,
        outcome,
        error_type,
        error,
        user_message,
        assistant_message,
        tool_names,
        created_at,
        ended_at
    from runs
    where
        status not in ('completed', 'superseded')
        and ($session_id::varchar is null or session_id = $session_id)
)

select
    told.session_id,
    told.turn_number,
    told.id as run_id,
    told.status,
    told.outcome,
    told.error_type,
    told.error,
    told.user_message,
    told.assistant_message,
    told.tool_names,
    told.created_at,
    told.ended_at,
    unanswered.next_run_id,
    unanswered.next_status,
    unanswered.next_run_id is null as is_last,
    greatest(
        date_diff('microseconds', told.ended_at, unanswered.silent_until), 0
    ) / 1000000.0::double as silence_seconds
from unanswered
inner join told on unanswered.id = told.id
order by silence_seconds desc, told.session_id asc, told.turn_number asc, run_id asc
limit $row_limit
