-- Where agents hand over to each other in a circle.
--
-- One row per run and circle. A circle is there when an agent gets back, within the run, what it
-- had handed over: from A to B to A, or through more agents, eight at most. They are listed in the
-- order in which they hand over, and the last of them hands over to the first. No agent is in a
-- circle twice: what goes from A to B to C to B to A is the circle of B and C. Who began is known
-- only where the agent of the first handoff was told; after that it is whoever was handed over to.
--
-- read: round_count is the number of times that it went round; once can be right (the desk takes
-- the customer back), more is a quarrel over who is to answer. The status says whether anybody did.
--
-- act: Say in the instructions of either agent what it is to do itself, and do not offer it the
-- handoff back, or put both jobs into one agent. `handoffs` tells how often either way is taken.
--
-- scope: session
--
-- param session_id: varchar = null
--     Only this session.
-- param since: timestamptz = null
--     Ignore circles that closed first before this moment.
-- param until: timestamptz = null
--     Ignore circles that closed first at or after this moment.
-- param agent_name: varchar = null
--     Only circles that this agent is in.
-- param include_superseded: boolean = false
--     Also circles in runs that an edit replaced.
-- param row_limit: bigint = null
--     Return at most this many circles, those that went round most first.

with

handed_over as (
    select
        id,
        session_id,
        run_id,
        agent_name,
        handoff_to,
        created_at,
        lag(handoff_to) over (
            partition by run_id
            order by id asc
        ) as holder
    from tool_calls
    where
        handoff_to is not null
        and ($session_id::varchar is null or session_id = $session_id)
),

-- A chain ends where another agent hands over than the one that was handed over to.
chained as (
    select
        id,
        session_id,
        run_id,
        agent_name,
        handoff_to,
        created_at,
        count(*) filter (where holder is null or agent_name <> holder) over (
            partition by run_id
            order by id asc
        ) as chain_number
    from handed_over
),

-- The agents of a chain in order: who began, and then everybody who was handed over to.
holders as (
    select
        session_id,
        run_id,
        chain_number,
        arg_min(agent_name, id) as agent_name,
        null as handoff_id,
        null as created_at,
        0 as place
    from chained
    group by session_id, run_id, chain_number
    having arg_min(agent_name is not null, id)
    union all
    select
        session_id,
        run_id,
        chain_number,
        handoff_to as agent_name,
        id as handoff_id,
        created_at,
        row_number() over (
            partition by run_id, chain_number
            order by id asc
        ) as place
    from chained
),

returns as (
    select
        *,
        place - lag(place) over (
            partition by run_id, chain_number, agent_name
            order by place asc
        ) as distance,
        list(agent_name) over (
            partition by run_id, chain_number
            order by place asc
            rows between 8 preceding and 1 preceding
        ) as agents_before
    from holders
),

closed as (
    select
        session_id,
        run_id,
        chain_number,
        handoff_id,
        created_at,
        place,
        agents_before[-distance:] as agents,
        list_position(agents, list_min(agents)) as first_place,
        -- The same circle, wherever it is entered.
        list_concat(agents[first_place:], agents[:first_place - 1]) as ring
    from returns
    where distance <= 8
),

-- Each agent of a circle closes it in turn: one after the other, they are the same round.
turned as (
    select
        *,
        place - row_number() over (
            partition by run_id, chain_number, ring
            order by place asc
        ) as streak
    from closed
    where list_unique(ring) = len(ring)
),

streaks as (
    select
        session_id,
        run_id,
        ring,
        min(handoff_id) as handoff_id,
        min(created_at) as closed_at,
        arg_min(agents, handoff_id) as agents,
        (count(*) + len(ring) - 1) // len(ring) as round_count
    from turned
    group by session_id, run_id, chain_number, ring, streak
),

circles as (
    select
        session_id,
        run_id,
        ring,
        arg_min(agents, handoff_id) as agents,
        len(ring) as agent_count,
        sum(round_count)::bigint as round_count,
        min(closed_at) as first_closed_at
    from streaks
    group by session_id, run_id, ring
),

chosen as (
    select *
    from circles
    where
        ($since::timestamptz is null or first_closed_at >= $since)
        and ($until::timestamptz is null or first_closed_at < $until)
        and ($agent_name::varchar is null or list_contains(ring, $agent_name))
),

ends as (
    select
        id,
        turn_number,
        status
    from runs
    where $include_superseded::boolean or status <> 'superseded'
)

select
    chosen.session_id,
    chosen.run_id,
    ends.turn_number,
    ends.status,
    chosen.agents,
    chosen.agent_count,
    chosen.round_count,
    chosen.first_closed_at
from chosen
inner join ends on chosen.run_id = ends.id
order by
    chosen.round_count desc,
    chosen.agent_count desc,
    chosen.session_id asc,
    chosen.run_id asc,
    chosen.ring asc
limit $row_limit
