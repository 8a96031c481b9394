-- Where people asked nearly the same thing again, and the answer that did not help.
--
-- One row per question and the one before it on the same path, where their words are nearly the
-- same. The similarity is twice the number of words that both have, by the number of words of
-- both: 1 for the same words in any order, 0 for none. Upper and lower case and punctuation do
-- not count. In scripts without spaces between the words, as in Chinese, it is characters instead.
-- Only the first 200 of each are looked at, so that long texts cost no more; two that begin alike
-- and end otherwise are found too. Of messages given together the last is compared. What replaced
-- a question is an edit and not here.
--
-- read: The answer between the two did not help. Its status says whether there was one, and
-- failed_tools which tools failed before it. The most alike come first; a similarity of 1 is the
-- same question again.
--
-- act: Read the two questions with the answer between: what the second adds is what the agent did
-- not understand. Questions that were edited instead are in `edit_text_changes`, and the reasons
-- of the failed tools in `tool_errors`.
--
-- scope: session
--
-- param session_id: varchar = null
--     Only questions in this session.
-- param since: timestamptz = null
--     Ignore pairs whose second question was asked before this moment.
-- param until: timestamptz = null
--     Ignore pairs whose second question was asked at or after this moment.
-- param min_similarity: double = 0.65
--     How similar the two must be at least.
-- param min_chars: bigint = 10
--     How many characters each must have at least: "yes" after "yes" is no question again.
-- param include_superseded: boolean = false
--     Also pairs whose second question is no longer on its session's path.
-- param row_limit: bigint = null
--     Return at most this many pairs, the most similar first.

with

openings as (
    select
        item_id,
        parent_item_id,
        turn_number
    from items
    where
        item_id = run_id
        and ($session_id::varchar is null or session_id = $session_id)
        and ($since::timestamptz is null or created_at >= $since)
        and ($until::timestamptz is null or created_at < $until)
        and ($include_superseded::boolean or is_current or is_archived)
),

endings as (
    select
        item_id,
        run_id,
        turn_number
    from items
    where $session_id::varchar is null or session_id = $session_id
),

-- What opens a turn has a higher turn number than what comes before it.
followed as (
    select
        openings.item_id as run_id,
        endings.run_id as earlier_run_id
    from openings
    inner join endings on openings.parent_item_id = endings.item_id
    where openings.turn_number > endings.turn_number
),

-- A run that begins in the middle of a turn has no question of its own.
turns as (
    select
        id,
        user_item_id
    from runs
    where $session_id::varchar is null or session_id = $session_id
),

questions as (
    select
        run_id,
        max(item_id) as item_id
    from messages
    where
        role = 'user'
        and operation not in ('compact', 'fork')
        and ($session_id::varchar is null or session_id = $session_id)
    group by run_id
),

pairs as (
    select
        followed.run_id,
        followed.earlier_run_id,
        later.item_id,
        coalesce(earlier.item_id, turns.user_item_id) as earlier_item_id
    from followed
    inner join questions as later on followed.run_id = later.run_id
    inner join turns on followed.earlier_run_id = turns.id
    left join questions as earlier on followed.earlier_run_id = earlier.run_id
),

said as (
    select
        item_id,
        -- Of letters that take three bytes each, and without spaces between the words.
        strlen(text) > 2 * length(text) and not contains(text, ' ') as is_dense,
        nullif(
            trim(
                regexp_replace(
                    lower(left(text, 200)), ' *[\p{P}\p{S}\n\r\t]+[\p{P}\p{S}\s]*', ' ', 'g'
                )
            ),
            ''
        ) as words
    from messages
    where
        role = 'user'
        and length(text) >= $min_chars::bigint
        and ($session_id::varchar is null or session_id = $session_id)
),

split as (
    select
        pairs.run_id as id,
        pairs.earlier_run_id as earlier_id,
        string_split(later.words, if(later.is_dense and earlier.is_dense, '', ' ')) as words,
        string_split(
            earlier.words, if(later.is_dense and earlier.is_dense, '', ' ')
        ) as earlier_words
    from pairs
    inner join said as later on pairs.item_id = later.item_id
    inner join said as earlier on pairs.earlier_item_id = earlier.item_id
),

compared as (
    select
        id,
        earlier_id,
        2 * len(list_intersect(words, earlier_words))
        / (list_unique(words) + list_unique(earlier_words))::double as similarity
    from split
),

similar_pairs as (
    select
        id,
        earlier_id,
        similarity
    from compared
    where similarity >= $min_similarity::double
),

found as (
    select
        id,
        session_id,
        turn_number,
        status,
        user_message,
        assistant_message,
        created_at,
        if(status = 'superseded', id, 0) as superseded_run_id
    from runs
    where
        ($session_id::varchar is null or session_id = $session_id)
        and (
            id in (select similar_pairs.id from similar_pairs)
            or id in (select similar_pairs.earlier_id from similar_pairs)
        )
),

-- What stands on the path belongs to the turn that is on it now, whichever run called it.
failed as (
    select
        id,
        session_id,
        turn_number,
        tool_name,
        if(is_current or is_archived, 0, run_id) as superseded_run_id
    from tool_calls
    where
        status = 'error'
        and ($session_id::varchar is null or session_id = $session_id)
),

failures as (
    select
        session_id,
        turn_number,
        superseded_run_id,
        list(tool_name order by id asc) as failed_tools
    from failed
    group by session_id, turn_number, superseded_run_id
)

select
    later.session_id,
    later.turn_number,
    later.id as run_id,
    earlier.id as earlier_run_id,
    similar_pairs.similarity,
    earlier.user_message as earlier_user_message,
    earlier.assistant_message as earlier_assistant_message,
    earlier.status as earlier_status,
    later.user_message,
    later.status,
    later.created_at,
    coalesce(failures.failed_tools, []::varchar[]) as failed_tools,
    date_diff('microseconds', earlier.created_at, later.created_at)
    / 1000000.0::double as seconds_between
from similar_pairs
inner join found as later on similar_pairs.id = later.id
inner join found as earlier on similar_pairs.earlier_id = earlier.id
left join failures
    on
        earlier.session_id = failures.session_id
        and earlier.turn_number = failures.turn_number
        and earlier.superseded_run_id = failures.superseded_run_id
order by
    similar_pairs.similarity desc,
    later.session_id asc,
    later.turn_number asc,
    run_id asc
limit $row_limit
