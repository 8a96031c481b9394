-- What each branch has in common with the one that it left, and what each of the two went on with.
--
-- One row per branch and its parent. What they share is counted once, in common_item_count;
-- everything else is of after the fork: the branch's own items, and those of its parent's path,
-- where a parent without items of its own is passed over for the one that it came from. Branches
-- without items, and those that were deleted, are left out. What was taken off the end of a branch
-- counts too. A run that was forked in its middle counts on both sides; turns are those from the
-- first to the last there, with what a compaction summed up in between. Tokens are those of the
-- session's own model calls and of the agents in their tools.
--
-- read: is_current and parent_is_current say which of the two ways the session's path goes; neither
-- where an earlier message was edited since. Compare the counts: an edit that was worth while needs
-- fewer turns and tool calls than what it replaced.
--
-- act: Read two branches side by side with `duckstore diff`. Where the second way is shorter again
-- and again, put what the users added to their questions into the agent's instructions.
--
-- scope: session
--
-- param session_id: varchar = null
--     Only this session.
-- param kind: varchar = null
--     Only branches of this kind: edit, regenerate, fork or compact.
-- param since: timestamptz = null
--     Ignore branches begun before this moment.
-- param until: timestamptz = null
--     Ignore branches begun at or after this moment.
-- param include_compactions: boolean = false
--     Also the branches that a compaction began.
-- param row_limit: bigint = null
--     Return at most this many branches.

with recursive

listed as (
    select *
    from branches
    where $session_id::varchar is null or session_id = $session_id
),

-- Only sessions with more than one branch.
forked as (
    select session_id
    from listed
    group by session_id
    having count(*) > 1
),

placed as (
    select
        item_id,
        branch_id,
        position,
        turn_number,
        coalesce(parent_item_id, 0) as parent_item_id,
        is_current or is_archived as is_live
    from items
    where session_id in (select forked.session_id from forked)
),

-- The first and the last item of each branch, and the item that its first one follows.
ends as (
    select
        branch_id,
        min(item_id) as first_item_id,
        max(item_id) as last_item_id,
        min(parent_item_id) as fork_item_id,
        count(*) as item_count,
        max(position) as last_position,
        min(turn_number) as first_turn_number,
        max(turn_number) as last_turn_number,
        arg_min(is_live, item_id) as is_live
    from placed
    group by branch_id
),

-- Where each branch left the tree: the branch on which the item before it was written.
links as (
    select
        ends.branch_id,
        ends.fork_item_id,
        placed.branch_id as home_branch_id
    from ends
    inner join placed on ends.fork_item_id = placed.item_id
),

chosen as (
    select
        branch_id,
        parent_branch_id
    from listed
    where
        parent_branch_id is not null
        and deleted_at is null
        and ($kind::varchar is null or kind = $kind)
        and ($since::timestamptz is null or created_at >= $since)
        and ($until::timestamptz is null or created_at < $until)
        and ($include_compactions::boolean or kind <> 'compact' or kind = $kind)
),

-- The branch to compare with: the nearest of those that it came from with items of its own.
compared as (
    select
        branch_id,
        parent_branch_id as other_branch_id
    from chosen
    union all
    select
        compared.branch_id,
        listed.parent_branch_id as other_branch_id
    from compared
    inner join listed on compared.other_branch_id = listed.branch_id
    left join ends on compared.other_branch_id = ends.branch_id
    where
        ends.branch_id is null
        and listed.parent_branch_id is not null
),

pairs as (
    select
        compared.branch_id,
        compared.other_branch_id,
        mine.fork_item_id,
        theirs.last_item_id
    from compared
    inner join ends as mine on compared.branch_id = mine.branch_id
    inner join ends as theirs on compared.other_branch_id = theirs.branch_id
),

-- What stands after the fork on either side, branch by branch from the end of the path: on the
-- branch's own side the branch itself. Ids grow along a path.
stretches as (
    select
        branch_id,
        true as is_own,
        branch_id as source_branch_id,
        fork_item_id,
        9223372036854775807 as last_item_id
    from pairs
    union all
    select
        branch_id,
        false as is_own,
        other_branch_id as source_branch_id,
        fork_item_id,
        last_item_id
    from pairs
    where last_item_id > fork_item_id
    union all
    select
        stretches.branch_id,
        stretches.is_own,
        links.home_branch_id as source_branch_id,
        stretches.fork_item_id,
        links.fork_item_id as last_item_id
    from stretches
    inner join links on stretches.source_branch_id = links.branch_id
    where links.fork_item_id > stretches.fork_item_id
),

counted as (
    select
        branch_id,
        anchor_item_id as item_id,
        1 as tool_call_count,
        null::bigint as total_tokens,
        null::bigint as message_item_id
    from tool_calls
    where session_id in (select forked.session_id from forked)
    union all
    select
        branch_id,
        anchor_item_id as item_id,
        0 as tool_call_count,
        total_tokens,
        null::bigint as message_item_id
    from responses
    where session_id in (select forked.session_id from forked)
    union all
    select
        branch_id,
        item_id,
        0 as tool_call_count,
        null::bigint as total_tokens,
        item_id as message_item_id
    from messages
    where
        session_id in (select forked.session_id from forked)
        and role in ('user', 'assistant')
    -- The ends of the stretches, so that there is a sum at each.
    union all
    select
        source_branch_id as branch_id,
        fork_item_id as item_id,
        0 as tool_call_count,
        null::bigint as total_tokens,
        null::bigint as message_item_id
    from stretches
    union all
    select
        source_branch_id as branch_id,
        last_item_id as item_id,
        0 as tool_call_count,
        null::bigint as total_tokens,
        null::bigint as message_item_id
    from stretches
),

-- Of each branch only what comes after the earliest fork that matters.
starts as (
    select
        source_branch_id,
        min(fork_item_id) as fork_item_id
    from stretches
    group by source_branch_id
),

steps as (
    select
        counted.branch_id,
        counted.item_id,
        sum(counted.tool_call_count) as tool_call_count,
        sum(counted.total_tokens) as total_tokens,
        count(counted.total_tokens) as response_count,
        max(counted.message_item_id) as message_item_id
    from counted
    inner join starts
        on
            counted.branch_id = starts.source_branch_id
            and counted.item_id > starts.fork_item_id
    group by counted.branch_id, counted.item_id
),

-- Sums along each branch, so that a stretch is a difference of two of them however many branches
-- have a part of it.
sums as (
    select
        branch_id,
        item_id,
        sum(tool_call_count) over so_far as tool_call_count,
        sum(total_tokens) over so_far as total_tokens,
        sum(response_count) over so_far as response_count,
        max(message_item_id) over so_far as message_item_id
    from steps
    window so_far as (
        partition by branch_id
        order by item_id asc
        rows between unbounded preceding and current row
    )
),

differences as (
    select
        stretches.branch_id,
        stretches.is_own,
        upto.tool_call_count - coalesce(earlier.tool_call_count, 0) as tool_call_count,
        upto.total_tokens - coalesce(earlier.total_tokens, 0) as total_tokens,
        upto.response_count - coalesce(earlier.response_count, 0) as response_count,
        case
            when upto.message_item_id > stretches.fork_item_id then upto.message_item_id
        end as message_item_id
    from stretches
    inner join sums as upto
        on
            stretches.source_branch_id = upto.branch_id
            and stretches.last_item_id = upto.item_id
    left join sums as earlier
        on
            stretches.source_branch_id = earlier.branch_id
            and stretches.fork_item_id = earlier.item_id
),

sides as (
    select
        branch_id,
        is_own,
        sum(tool_call_count)::bigint as tool_call_count,
        sum(total_tokens) filter (where response_count > 0)::bigint as total_tokens,
        max(message_item_id) as message_item_id
    from differences
    group by branch_id, is_own
),

-- The few texts that are wanted, before anything is joined with them.
texts as (
    select
        item_id,
        text
    from messages
    where item_id in (select sides.message_item_id from sides)
),

-- The item that stood after the fork on the other path.
replaced as (
    select
        stretches.branch_id,
        placed.turn_number,
        placed.is_live
    from stretches
    inner join placed
        on
            stretches.source_branch_id = placed.branch_id
            and stretches.fork_item_id = placed.parent_item_id
    where not stretches.is_own
),

joined as (
    select
        listed.session_id,
        listed.branch_id,
        listed.name as branch_name,
        listed.kind,
        listed.fork_position as common_item_count,
        listed.created_at,
        pairs.other_branch_id as parent_branch_id,
        parents.name as parent_branch_name,
        mine.is_live as is_current,
        mine.item_count,
        my_side.total_tokens,
        their_side.total_tokens as parent_total_tokens,
        my_texts.text as last_message,
        their_texts.text as parent_last_message,
        -- A compaction goes on with what it archives: the path does not go that way any more.
        coalesce(replaced.is_live, false) and listed.kind <> 'compact' as parent_is_current,
        greatest(theirs.last_position - listed.fork_position, 0) as parent_item_count,
        mine.last_turn_number - mine.first_turn_number + 1 as turn_count,
        coalesce(theirs.last_turn_number - replaced.turn_number + 1, 0) as parent_turn_count,
        coalesce(my_side.tool_call_count, 0) as tool_call_count,
        coalesce(their_side.tool_call_count, 0) as parent_tool_call_count
    from pairs
    inner join listed on pairs.branch_id = listed.branch_id
    inner join listed as parents on pairs.other_branch_id = parents.branch_id
    inner join ends as mine on pairs.branch_id = mine.branch_id
    inner join ends as theirs on pairs.other_branch_id = theirs.branch_id
    left join replaced on pairs.branch_id = replaced.branch_id
    left join sides as my_side on pairs.branch_id = my_side.branch_id and my_side.is_own
    left join sides as their_side
        on pairs.branch_id = their_side.branch_id and not their_side.is_own
    left join texts as my_texts on my_side.message_item_id = my_texts.item_id
    left join texts as their_texts on their_side.message_item_id = their_texts.item_id
)

select
    session_id,
    branch_id,
    branch_name,
    kind,
    parent_branch_id,
    parent_branch_name,
    is_current,
    parent_is_current,
    common_item_count,
    item_count,
    parent_item_count,
    turn_count,
    parent_turn_count,
    tool_call_count,
    parent_tool_call_count,
    total_tokens,
    parent_total_tokens,
    last_message,
    parent_last_message,
    created_at
from joined
order by session_id asc, branch_id asc
limit $row_limit
