-- Pairs of a chosen and a rejected answer to the same words, ready for preference training.
--
-- One row per answer that was generated again and the one that was chosen instead. Chosen is the
-- answer on the session's current path, or archived by a compaction of it; where an earlier message
-- was edited since and none is, the newest. An answer is the last message of the agent in its run;
-- an alternative without one makes no pair, and where that is the one on the path, nothing was
-- chosen. Equal answers are no pair, nor are answers to no question, or in a run that a compaction
-- cut in two. An answer that a person edited by hand is an alternative like others. What tools said
-- is not among the messages: has_tool_calls tells where an answer may rest on it.
--
-- read: prompt, chosen and rejected are the texts; prompt_messages, chosen_messages and
-- rejected_messages are the same as lists of role and content, in the form that trainers such as
-- TRL take for conversations. prompt_messages ends with the prompt, or with what the agent had said
-- after it.
--
-- act: Read some before you train on them: that an answer was generated again says that somebody
-- wanted another one, not why. Leave out pairs with has_tool_calls where the model must not invent
-- what a tool would say, and see how soon they came with `time_to_edit`.
--
-- scope: session
--
-- param session_id: varchar = null
--     Only this session.
-- param since: timestamptz = null
--     Ignore pairs whose later answer was begun before this moment.
-- param until: timestamptz = null
--     Ignore pairs whose later answer was begun at or after this moment.
-- param agent_name: varchar = null
--     Only pairs whose chosen answer is this agent's.
-- param max_prompt_messages: bigint = 20
--     Give at most this many messages of what led there, the latest.
-- param min_answer_chars: bigint = 1
--     Leave out pairs in which an answer is shorter than this.
-- param include_forks: boolean = false
--     Also the answers on branches that were begun by name.
-- param row_limit: bigint = null
--     Return at most this many pairs.

with recursive

-- What stands beside each other and was said by the agent; a summary is no alternative.
ways as (
    select
        session_id,
        item_before_id,
        alternative_item_id,
        turn_number,
        run_id,
        rank,
        created_at,
        is_current,
        is_current or is_archived as is_live,
        bool_or(
            kind = 'regenerate' or ($include_forks::boolean and kind = 'fork')
        ) over (partition by item_before_id) as is_regenerated
    from edit_points
    where
        ($session_id::varchar is null or session_id = $session_id)
        and item_before_id is not null
        and coalesce(role, 'assistant') = 'assistant'
        and (kind <> 'compact' or rank = 1)
),

alternatives as (
    select * exclude (is_regenerated)
    from ways
    where is_regenerated
),

spoken as (
    select
        item_id,
        session_id,
        branch_id,
        run_id,
        turn_number,
        is_current or is_archived as is_live,
        operation = 'compact' as is_summary,
        case when role = 'developer' then 'system' else role end as speaker,
        row_number() over (partition by branch_id order by item_id asc) as message_number
    from messages
    where
        session_id in (select alternatives.session_id from alternatives)
        and role in ('user', 'assistant', 'system', 'developer')
        and text is not null
),

said as (
    select *
    from spoken
    where not is_summary
),

-- Answers. On the path that of the turn, which may have been begun over once more; elsewhere that
-- of the alternative's own run.
answers as (
    select
        alternatives.alternative_item_id,
        max(said.item_id) as answer_item_id
    from alternatives
    inner join said
        on
            alternatives.session_id = said.session_id
            and alternatives.turn_number = said.turn_number
            and alternatives.alternative_item_id <= said.item_id
    where alternatives.is_live and said.is_live and said.speaker = 'assistant'
    group by alternatives.alternative_item_id
    union all
    select
        alternatives.alternative_item_id,
        max(said.item_id) as answer_item_id
    from alternatives
    inner join said
        on
            alternatives.run_id = said.run_id
            and alternatives.alternative_item_id <= said.item_id
    where not alternatives.is_live and said.speaker = 'assistant'
    group by alternatives.alternative_item_id
),

-- The chosen one has the first place. One on the path that has no answer yet keeps it: then there
-- is no telling which of the others is better.
placed as (
    select
        alternatives.*,
        answers.answer_item_id,
        row_number() over (
            partition by alternatives.item_before_id
            order by
                alternatives.is_current desc,
                alternatives.is_live desc,
                alternatives.rank desc
        ) as place
    from alternatives
    left join answers on alternatives.alternative_item_id = answers.alternative_item_id
    where alternatives.is_live or answers.answer_item_id is not null
),

pairs as (
    select
        chosen.session_id,
        chosen.item_before_id,
        chosen.turn_number,
        chosen.is_live,
        chosen.run_id as chosen_run_id,
        rejected.run_id as rejected_run_id,
        chosen.answer_item_id as chosen_item_id,
        rejected.answer_item_id as rejected_item_id,
        rejected.rank,
        greatest(chosen.created_at, rejected.created_at) as created_at
    from placed as chosen
    inner join placed as rejected on chosen.item_before_id = rejected.item_before_id
    where
        chosen.place = 1
        and rejected.place > 1
        and chosen.answer_item_id is not null
        and rejected.answer_item_id is not null
),

-- The tree of the sessions with pairs.
tree as (
    select
        item_id,
        branch_id,
        run_id,
        turn_number,
        operation,
        coalesce(parent_item_id, 0) as parent_item_id
    from items
    where session_id in (select pairs.session_id from pairs)
),

-- What the first item of each branch follows.
forks as (
    select
        branch_id,
        min(parent_item_id) as item_before_id
    from tree
    group by branch_id
),

befores as (
    select
        item_id,
        branch_id,
        run_id,
        operation
    from tree
    where item_id in (select forks.item_before_id from forks)
),

-- How many messages the branch of each of those has up to there.
marks as (
    select
        branch_id,
        item_id,
        1 as message_count
    from spoken
    union all
    select
        branch_id,
        item_id,
        0 as message_count
    from befores
),

sums as (
    select
        item_id,
        branch_id,
        sum(message_count) over (
            partition by branch_id
            order by item_id asc
            range between unbounded preceding and current row
        )::bigint as message_count
    from marks
),

counted as (
    select distinct
        item_id,
        branch_id,
        message_count
    from sums
    where item_id in (select befores.item_id from befores)
),

-- From each edit point towards the start of the conversation, branch by branch, until there are
-- enough messages.
stretches as (
    select
        item_id as item_before_id,
        branch_id,
        message_count,
        coalesce($max_prompt_messages::bigint, 9223372036854775807) as wanted_count
    from counted
    where item_id in (select pairs.item_before_id from pairs)
    union all
    select
        stretches.item_before_id,
        counted.branch_id,
        counted.message_count,
        stretches.wanted_count - stretches.message_count as wanted_count
    from stretches
    inner join forks on stretches.branch_id = forks.branch_id
    inner join counted on forks.item_before_id = counted.item_id
    where stretches.wanted_count > stretches.message_count
),

numbers as (
    select
        item_before_id,
        branch_id,
        unnest(
            range(greatest(message_count - wanted_count, 0) + 1, message_count + 1)
        ) as message_number
    from stretches
    where wanted_count > 0
),

shown as (
    select
        numbers.item_before_id,
        spoken.item_id,
        spoken.speaker
    from numbers
    inner join spoken
        on
            numbers.branch_id = spoken.branch_id
            and numbers.message_number = spoken.message_number
),

-- The question: the user's messages of the run, and where it was begun over in its middle, of the
-- run that it shares its opening with. One that a compaction replaced is not what was answered.
firsts as (
    select
        run_id,
        turn_number,
        parent_item_id
    from tree
    where item_id = run_id
),

openings as (
    select
        firsts.run_id,
        tree.item_id,
        tree.run_id as forked_run_id
    from firsts
    inner join tree
        on
            firsts.parent_item_id = tree.item_id
            and firsts.turn_number = tree.turn_number
    where tree.operation <> 'compact'
),

asked as (
    select
        item_id as item_before_id,
        run_id,
        item_id as last_item_id
    from befores
    where
        item_id in (select pairs.item_before_id from pairs)
        and operation <> 'compact'
    union all
    select
        asked.item_before_id,
        openings.forked_run_id as run_id,
        openings.item_id as last_item_id
    from asked
    inner join openings on asked.run_id = openings.run_id
),

questions as (
    select
        asked.item_before_id,
        said.item_id
    from asked
    inner join said
        on
            asked.run_id = said.run_id
            and asked.last_item_id >= said.item_id
    where said.speaker = 'user'
),

texts as (
    select
        item_id,
        run_id,
        agent_name,
        text
    from messages
    where
        item_id in (
            select shown.item_id from shown
            union all
            select questions.item_id from questions
            union all
            select pairs.chosen_item_id from pairs
            union all
            select pairs.rejected_item_id from pairs
        )
),

contexts as (
    select
        shown.item_before_id,
        list(
            struct_pack(role := shown.speaker, content := texts.text)
            order by shown.item_id asc
        ) as messages
    from shown
    inner join texts on shown.item_id = texts.item_id
    group by shown.item_before_id
),

prompts as (
    select
        questions.item_before_id,
        string_agg(texts.text, e'\n\n' order by texts.item_id asc) as prompt
    from questions
    inner join texts on questions.item_id = texts.item_id
    group by questions.item_before_id
),

-- Alternatives that may rest on what a tool said: a call in their run, before the edit point or
-- after it, or in the run that went on from there.
called as (
    select run_id
    from tool_calls
    where $session_id::varchar is null or session_id = $session_id
),

reached as (
    select
        pairs.chosen_item_id,
        pairs.rejected_item_id,
        asked.run_id
    from pairs
    inner join asked on pairs.item_before_id = asked.item_before_id
    union
    select
        pairs.chosen_item_id,
        pairs.rejected_item_id,
        unnest(
            [pairs.chosen_run_id, pairs.rejected_run_id, chosen.run_id, rejected.run_id]
        ) as run_id
    from pairs
    inner join texts as chosen on pairs.chosen_item_id = chosen.item_id
    inner join texts as rejected on pairs.rejected_item_id = rejected.item_id
),

with_calls as (
    select distinct
        chosen_item_id,
        rejected_item_id
    from reached
    where run_id in (select called.run_id from called)
),

joined as (
    select
        pairs.session_id,
        pairs.turn_number,
        pairs.item_before_id,
        pairs.rank,
        pairs.is_live as is_current,
        pairs.created_at,
        chosen.run_id as chosen_run_id,
        rejected.run_id as rejected_run_id,
        chosen.agent_name,
        prompts.prompt,
        chosen.text as chosen,
        rejected.text as rejected,
        coalesce(contexts.messages, []) as prompt_messages,
        [struct_pack(role := 'assistant', content := chosen.text)] as chosen_messages,
        [struct_pack(role := 'assistant', content := rejected.text)] as rejected_messages,
        with_calls.chosen_item_id is not null as has_tool_calls
    from pairs
    inner join texts as chosen on pairs.chosen_item_id = chosen.item_id
    inner join texts as rejected on pairs.rejected_item_id = rejected.item_id
    inner join prompts on pairs.item_before_id = prompts.item_before_id
    left join contexts on pairs.item_before_id = contexts.item_before_id
    left join with_calls
        on
            pairs.chosen_item_id = with_calls.chosen_item_id
            and pairs.rejected_item_id = with_calls.rejected_item_id
)

select
    session_id,
    turn_number,
    item_before_id,
    chosen_run_id,
    rejected_run_id,
    is_current,
    agent_name,
    has_tool_calls,
    prompt,
    prompt_messages,
    chosen,
    rejected,
    chosen_messages,
    rejected_messages,
    created_at
from joined
where
    chosen <> rejected
    and length(chosen) >= $min_answer_chars::bigint
    and length(rejected) >= $min_answer_chars::bigint
    and ($agent_name::varchar is null or agent_name = $agent_name)
    and ($since::timestamptz is null or created_at >= $since)
    and ($until::timestamptz is null or created_at < $until)
order by session_id asc, item_before_id asc, rank asc
limit $row_limit
