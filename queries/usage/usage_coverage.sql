-- Which rows have what the items do not tell.
--
-- One row per relation and fact. What nobody told is NULL and not a guess: a share below 1 says how
-- much of a sum or an average is missing. What may well be absent, such as the error of a call that
-- went well, is not listed. Relations without rows are left out.
--
-- read: A known_share of 1 means that sums and averages over that fact are whole. A share of 0
-- means that nobody watched.
--
-- act: Give hooks to the Runner or tell its tracing to the store, as the README says, before you
-- compare times or costs.
--
-- scope: store
--
-- param session_id: varchar = null
--     Only rows of this session.
-- param since: timestamptz = null
--     Ignore rows from before this moment.
-- param until: timestamptz = null
--     Ignore rows from this moment on.
-- param include_superseded: boolean = true
--     Also rows on paths that an edit replaced.
-- param row_limit: bigint = null
--     Return at most this many rows.

with

known as (
    select
        1 as relation_rank,
        'responses' as relation,
        count(*) as row_count,
        [
            struct_pack(fact := 'usage', known_count := count(total_tokens)),
            struct_pack(fact := 'agent', known_count := count(agent_name)),
            struct_pack(fact := 'model', known_count := count(model)),
            struct_pack(fact := 'provider response id', known_count := count(provider_response_id)),
            struct_pack(fact := 'finish reason', known_count := count(finish_reason)),
            struct_pack(fact := 'times', known_count := count(duration_seconds)),
            struct_pack(fact := 'trace', known_count := count(trace_id))
        ] as facts
    from responses
    where
        ($session_id::varchar is null or session_id = $session_id)
        and ($since::timestamptz is null or created_at >= $since)
        and ($until::timestamptz is null or created_at < $until)
        and ($include_superseded::boolean or is_current or is_archived)
    union all
    select
        2 as relation_rank,
        'tool_calls' as relation,
        count(*) as row_count,
        [
            struct_pack(fact := 'agent', known_count := count(agent_name)),
            struct_pack(fact := 'times', known_count := count(duration_seconds)),
            struct_pack(
                fact := 'status from who saw it run',
                known_count := count(*) filter (
                    where status_source in ('trace', 'hook', 'approval')
                )
            )
        ] as facts
    from tool_calls
    where
        ($session_id::varchar is null or session_id = $session_id)
        and ($since::timestamptz is null or created_at >= $since)
        and ($until::timestamptz is null or created_at < $until)
        and ($include_superseded::boolean or is_current or is_archived)
    union all
    select
        3 as relation_rank,
        'runs' as relation,
        count(*) as row_count,
        [
            struct_pack(fact := 'usage', known_count := count(total_tokens)),
            struct_pack(fact := 'outcome', known_count := count(outcome)),
            struct_pack(
                fact := 'time to the first response', known_count := count(first_response_seconds)
            )
        ] as facts
    from runs
    where
        ($session_id::varchar is null or session_id = $session_id)
        and ($since::timestamptz is null or created_at >= $since)
        and ($until::timestamptz is null or created_at < $until)
        and ($include_superseded or status <> 'superseded')
),

-- One row per relation and fact, in their order.
listed as (
    select
        relation_rank,
        relation,
        row_count,
        unnest(facts) as each_fact,
        generate_subscripts(facts, 1) as fact_rank
    from known
)

select
    relation,
    row_count,
    struct_extract(each_fact, 'fact') as fact,
    struct_extract(each_fact, 'known_count') as known_count,
    struct_extract(each_fact, 'known_count') / row_count::double as known_share
from listed
where row_count > 0
order by relation_rank asc, fact_rank asc
limit $row_limit
