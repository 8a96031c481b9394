-- How long people take before they ask the next question.
--
-- One row per turn number of the question. The time goes from the end of the run before it on its
-- own path, which is its last item or when the Runner ended, to the question. What follows an
-- answer for the second time, an edit or another branch, is left out: when its author began to
-- think of it, nobody knows. Questions stored at the same moment as what comes before them, as by
-- an import, are counted and not timed. It is by turn, and not by session, because a habit shows
-- only over many people: most sessions have one or two such times.
--
-- read: within_share is the share of the timed questions that came within the seconds asked for,
-- which are by default the five minutes for which most providers keep a prompt cached. The first
-- rows rest on the most questions; those of high turn numbers on few.
--
-- act: Where most questions come later than that, cached input will not be read: see `cache_hits`.
-- A session can be closed, or a reminder sent, after the p95.
--
-- scope: store
--
-- param session_id: varchar = null
--     Only this session.
-- param since: timestamptz = null
--     Ignore questions asked before this moment.
-- param until: timestamptz = null
--     Ignore questions asked at or after this moment.
-- param within_seconds: double = 300
--     Give the share of the questions that came within this time.
-- param include_superseded: boolean = false
--     Also questions that are no longer on their session's path.
-- param row_limit: bigint = null
--     Return at most this many turn numbers, the lowest first.

with

openings as (
    select
        item_id,
        parent_item_id,
        turn_number,
        created_at,
        is_current or is_archived as is_live
    from items
    where
        item_id = run_id
        and operation not in ('compact', 'fork')
        and ($session_id::varchar is null or session_id = $session_id)
),

-- What a session was forked with was said elsewhere.
endings as (
    select
        item_id,
        run_id,
        turn_number,
        created_at,
        operation = 'compact' as is_summary
    from items
    where
        operation <> 'fork'
        and ($session_id::varchar is null or session_id = $session_id)
),

-- What opens a turn has a higher turn number than what comes before it. Only what was said first
-- after it is timed.
questions as (
    select
        openings.item_id,
        openings.turn_number,
        openings.created_at,
        openings.is_live,
        endings.item_id as before_item_id,
        endings.run_id as before_run_id,
        endings.is_summary,
        endings.created_at as before_at
    from openings
    inner join endings on openings.parent_item_id = endings.item_id
    where openings.turn_number > endings.turn_number
    qualify row_number() over (
        partition by openings.parent_item_id
        order by openings.item_id asc
    ) = 1
),

-- A compaction between them is no part of the run before.
summaries as (
    select distinct before_run_id
    from questions
    where is_summary
),

summarized as (
    select
        run_id,
        max(created_at) as ended_at
    from items
    where
        operation not in ('compact', 'fork')
        and run_id in (select summaries.before_run_id from summaries)
    group by run_id
),

stopped as (
    select
        questions.item_id,
        max(outcomes.ended_at) as ended_at
    from questions
    inner join outcomes
        on
            questions.before_run_id = outcomes.run_id
            and questions.before_item_id >= outcomes.anchor_item_id
    group by questions.item_id
),

timed as (
    select
        questions.turn_number,
        questions.created_at,
        questions.is_live,
        date_diff(
            'microseconds',
            greatest(
                if(questions.is_summary, summarized.ended_at, questions.before_at),
                stopped.ended_at
            ),
            questions.created_at
        ) / 1000000.0::double as think_seconds
    from questions
    left join summarized on questions.before_run_id = summarized.run_id and questions.is_summary
    left join stopped on questions.item_id = stopped.item_id
)

select
    turn_number,
    count(*) as question_count,
    count(*) filter (where think_seconds > 0) as timed_count,
    quantile_cont(think_seconds, 0.5) filter (where think_seconds > 0) as p50_seconds,
    quantile_cont(think_seconds, 0.95) filter (where think_seconds > 0) as p95_seconds,
    max(think_seconds) filter (where think_seconds > 0) as max_seconds,
    count(*) filter (where think_seconds > 0 and think_seconds <= $within_seconds::double)
    / nullif(count(*) filter (where think_seconds > 0), 0)::double as within_share
from timed
where
    ($since::timestamptz is null or created_at >= $since)
    and ($until::timestamptz is null or created_at < $until)
    and ($include_superseded::boolean or is_live)
group by turn_number
order by turn_number asc
limit $row_limit
