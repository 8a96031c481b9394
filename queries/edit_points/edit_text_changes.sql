-- How the words of a message changed when it was edited.
--
-- One row per edited message: an alternative at an edit point with the one before it, which is
-- the latest earlier alternative there of the same role (in most places the one with rank - 1).
-- Compactions are left out, and are not compared with. Only edits, unless another kind is asked
-- for: an answer that was generated again is of the kind regenerate, and so is an edited message
-- of an assistant.
--
-- The distance is the Levenshtein distance (characters put in, left out or exchanged) over the
-- length of the longer text: 0 for the same words, 1 for nothing in common. It takes time with the
-- square of the length, so that only the first 1,000 characters of each text are compared; is_cut
-- says that one of them has more, and then the distance is that of these beginnings.
--
-- read: A distance near 0 is a corrected word, near 1 another question. A growing text (a
-- length_change_chars above 0) says what was missing the first time.
--
-- act: Put what people keep adding into the instructions, or let the agent ask for it. See with
-- `edit_effects` whether the new words led to another answer.
--
-- scope: session
--
-- param session_id: varchar = null
--     Only this session.
-- param kind: varchar = 'edit'
--     Only alternatives of this kind: edit, regenerate or fork; null for the three.
-- param since: timestamptz = null
--     Ignore alternatives begun before this moment.
-- param until: timestamptz = null
--     Ignore alternatives begun at or after this moment.
-- param compared_chars: bigint = 1000
--     Compare at most this many characters of each text; null for all.
-- param row_limit: bigint = null
--     Return at most this many messages.

with

alternatives as (
    select
        *,
        lag(alternative_item_id) over versions as before_item_id,
        lag(text) over versions as before_text
    from edit_points
    where
        kind <> 'compact'
        and item_type = 'message'
        and ($session_id::varchar is null or session_id = $session_id)
    window versions as (partition by session_id, item_before_id, role order by rank asc)
),

changes as (
    select
        *,
        -- A length that left() takes; of NULL and a number the number is the least.
        greatest(least($compared_chars::bigint, 4294967295), 0) as most_chars,
        coalesce(length(before_text), 0) as before_chars,
        coalesce(length(text), 0) as after_chars
    from alternatives
    where
        before_item_id is not null
        and ($kind::varchar is null or kind = $kind)
        and ($since::timestamptz is null or created_at >= $since)
        and ($until::timestamptz is null or created_at < $until)
)

select
    session_id,
    item_before_id,
    position,
    turn_number,
    kind,
    rank,
    role,
    is_current,
    before_item_id,
    alternative_item_id as after_item_id,
    before_text,
    text as after_text,
    created_at,
    levenshtein(
        left(coalesce(before_text, ''), most_chars), left(coalesce(text, ''), most_chars)
    ) / greatest(least(greatest(before_chars, after_chars), most_chars), 1)::double as distance,
    greatest(before_chars, after_chars) > most_chars as is_cut,
    after_chars - before_chars as length_change_chars
from changes
order by session_id asc, position asc, item_before_id asc nulls first, rank asc
limit $row_limit
