"""The rules of a store that SQL can verify: for each a query that finds what breaks it.

They are the promises on which the relations rest: positions without gaps, one parent an item, every
call and every token counted once. `duckstore.check` runs them, with the two that need Python.
"""

from __future__ import annotations

__all__ = ["RULES"]

# Each query returns session_key and a text that says what is wrong.
RULES: dict[str, str] = {
    "ids are unique": """
        select any_value(session_key), concat('id ', id, ' is used ', count(*), ' times')
        from (
            select item_id as id, session_key from item_rows
            union all select branch_id, session_key from branch_rows
            union all select move_id, session_key from move_rows
            union all select response_id, session_key from response_rows
            where response_id <> item_id
            union all select tool_call_id, session_key from call_rows where tool_call_id <> item_id
            union all select outcome_id, session_key from outcome_rows
            union all select guardrail_id, session_key from guardrail_rows
        )
        group by id having count(*) > 1
    """,
    "every row belongs to a stored session": """
        select rows.session_key, concat('session_key ', rows.session_key, ' in ', rows.origin)
        from (
            select distinct session_key, 'item_rows' as origin from item_rows
            union select session_key, 'branch_rows' from branch_rows
            union select session_key, 'lineage_rows' from lineage_rows
            union select session_key, 'move_rows' from move_rows
            union select session_key, 'response_rows' from response_rows
            union select session_key, 'call_rows' from call_rows
            union select session_key, 'outcome_rows' from outcome_rows
            union select session_key, 'guardrail_rows' from guardrail_rows
        ) as rows
        anti join session_rows on rows.session_key = session_rows.session_key
    """,
    "every session has its first branch": """
        select session_key, 'the first branch is missing'
        from session_rows
        anti join branch_rows on session_rows.session_key = branch_rows.branch_id
    """,
    "branch names are unique in a session": """
        select session_key, concat('branch name ', name, ' stands ', count(*), ' times')
        from branch_rows group by session_key, name having count(*) > 1
    """,
    "a branch holds each of its positions once": """
        select any_value(item_rows.session_key), concat(
            'branch ', item_rows.branch_id, ' has ', count(*), ' items on positions ',
            min(position), ' to ', max(position), ', forked after ', any_value(fork_position)
        )
        from item_rows
        left join branch_rows on item_rows.branch_id = branch_rows.branch_id
        group by item_rows.branch_id
        having
            count(*) <> max(position) - coalesce(any_value(fork_position), -1)
            or count(*) <> count(distinct position)
            or min(position) <> any_value(fork_position) + 1
    """,
    "a branch's path has no gaps": """
        select branch_rows.session_key, concat(
            'branch ', branch_id, ' shows ', count(position), ' items up to position ',
            max(position)
        )
        from branch_items
        inner join branch_rows using (branch_id)
        group by branch_id, branch_rows.session_key
        having count(position) <> max(position) or count(distinct position) <> count(position)
    """,
    "what a branch inherits is as long as its fork position": """
        select branch_rows.session_key, concat(
            'branch ', branch_rows.branch_id, ' forks after ', fork_position, ' and inherits ',
            coalesce(sum(last_position - first_position + 1), 0)
        )
        from branch_rows
        left join lineage_rows
            on branch_rows.branch_id = lineage_rows.branch_id and archived_at is null
        group by branch_rows.branch_id, branch_rows.session_key, fork_position
        having fork_position <> coalesce(sum(last_position - first_position + 1), 0)
    """,
    "an item's parent is the item before it on its branch": """
        with own as (
            select
                item_rows.*,
                lag(item_id) over (partition by branch_id order by position) as before_id,
                position = min(position) over (partition by branch_id) as is_first
            from item_rows
        ),

        inherited as (
            select
                lineage_rows.branch_id,
                source.item_id,
                source.position + position_offset as path_position
            from lineage_rows
            inner join item_rows as source
                on lineage_rows.source_branch_id = source.branch_id
                and source.position between first_position and last_position
            where archived_at is null
        )

        select own.session_key, concat(
            'item ', own.item_id, ' names ', coalesce(own.parent_item_id::varchar, 'none'),
            ' and follows ',
            coalesce(if(is_first, inherited.item_id, before_id)::varchar, 'none')
        )
        from own
        left join inherited
            on own.branch_id = inherited.branch_id and inherited.path_position = own.position - 1
        where own.parent_item_id
            is distinct from if(is_first, inherited.item_id, before_id)
    """,
    "an output answers an earlier call with its id": """
        select outputs.session_key, concat(
            'output ', outputs.item_id, ' answers ', outputs.answers_item_id
        )
        from item_rows as outputs
        left join item_rows as calls on outputs.answers_item_id = calls.item_id
        where outputs.answers_item_id is not null and (
            calls.item_id is null
            or calls.item_id >= outputs.item_id
            or calls.session_key <> outputs.session_key
            or calls.call_id is distinct from outputs.call_id
            or calls.call_index is null
        )
    """,
    "an output is its call's first once, and numbered above 1 after it": """
        select any_value(session_key), concat('the outputs of call ', answers_item_id)
        from item_rows
        where answers_item_id is not null
        group by answers_item_id
        having
            count(answer_number) < count(*)
            or count(*) filter (where answer_number = 1) > 1
            or (count(*) > 1 and max(answer_number) = 1)
    """,
    "a call is answered once on a path": """
        select any_value(item_rows.session_key), concat(
            'call ', answers_item_id, ' has ', count(*), ' outputs on branch ',
            branch_items.branch_id
        )
        from branch_items
        inner join item_rows using (item_id)
        where answers_item_id is not null
        group by branch_items.branch_id, answers_item_id having count(*) > 1
    """,
    "a run is one stretch of one branch, with one number": """
        -- What a compaction puts in the place of a run's items belongs to it on another branch.
        select any_value(session_key), concat('run ', run_id)
        from item_rows
        group by run_id
        having
            count(distinct branch_id) filter (where operation <> 'compact') > 1
            or count(distinct turn_number) > 1
            or count(*) filter (where operation <> 'compact')
            <> max(position) filter (where operation <> 'compact')
            - min(position) filter (where operation <> 'compact') + 1
            or min(item_id) <> run_id
    """,
    "run numbers count up along every path": """
        with steps as (
            select
                branch_items.branch_id,
                item_rows.session_key,
                turn_number,
                run_id,
                forked_run_id,
                lag(turn_number, 1, 0) over path as number_before,
                lag(run_id) over path as run_before
            from branch_items
            inner join item_rows using (item_id)
            where operation <> 'compact'
            window path as (
                partition by branch_items.branch_id order by branch_items.position
            )
        )

        select session_key, concat(
            'on branch ', branch_id, ' run ', run_id, ' has number ', turn_number, ' after ',
            number_before
        )
        from steps
        where
            turn_number < number_before
            or (
                run_id is distinct from run_before and forked_run_id is null
                and turn_number = number_before
            )
    """,
    "a response is one batch's, and starts with its own id": """
        select any_value(session_key), concat('response ', response_id)
        from item_rows
        where response_id is not null
        group by response_id
        having
            -- An import goes on with what was ended in the middle of one, and nothing else does.
            count(distinct batch_id) filter (where operation <> 'import') > 1
            or max(item_id) filter (where operation <> 'import')
            > min(item_id) filter (where operation = 'import')
            or count(distinct run_id) > 1
            or min(item_id) <> response_id
    """,
    "what was seen of a run belongs to an item of it": """
        select seen.session_key, concat(seen.origin, ' ', seen.id, ' after ', seen.item_id)
        from (
            select session_key, response_id as id, item_id, run_id, 'response' as origin
            from response_rows
            union all
            select session_key, tool_call_id, item_id, run_id, 'tool call' from call_rows
            union all
            select session_key, outcome_id, item_id, run_id, 'outcome' from outcome_rows
            union all
            select session_key, guardrail_id, item_id, run_id, 'guardrail' from guardrail_rows
        ) as seen
        left join item_rows
            on seen.item_id = item_rows.item_id
            and seen.session_key = item_rows.session_key
            and seen.run_id = item_rows.run_id
        where item_rows.item_id is null
    """,
    "a response or a tool call was seen once, and is what it is said to be": """
        select any_value(seen.session_key), concat(seen.origin, ' ', seen.id)
        from (
            select session_key, response_id as id, item_id, 'response' as origin from response_rows
            union all
            select session_key, tool_call_id, item_id, 'tool call' from call_rows
        ) as seen
        left join item_rows
            on seen.id = item_rows.item_id
            and case seen.origin
                when 'response' then item_rows.response_id = item_rows.item_id
                else item_rows.call_index is not null
            end
        group by seen.origin, seen.id
        having
            count(*) > 1
            or (any_value(seen.id) = any_value(seen.item_id) and count(item_rows.item_id) = 0)
    """,
    "what ran in a tool call ran in one of its session": """
        select seen.session_key, concat(seen.id, ' ran in ', seen.parent_tool_call_id)
        from (
            select session_key, response_id as id, parent_tool_call_id from response_rows
            union all
            select session_key, tool_call_id, parent_tool_call_id from call_rows
        ) as seen
        left join call_rows as parents
            on seen.parent_tool_call_id = parents.tool_call_id
            and seen.session_key = parents.session_key
        where seen.parent_tool_call_id is not null and parents.tool_call_id is null
    """,
    "the tools that a model was offered are a JSON array of texts": """
        select session_key, concat('response ', response_id, ' was offered ', offered_tools)
        from response_rows
        where case
            when not json_valid(offered_tools) or json_type(offered_tools) <> 'ARRAY' then true
            else list_distinct(json_type(offered_tools, '$[*]')) not in ([], ['VARCHAR'])
        end
    """,
    "every call is counted once": """
        select item_rows.session_key, concat('call ', item_id, ' counts ', count(tool_calls.id))
        from item_rows
        left join tool_calls on item_rows.item_id = tool_calls.id
        where item_rows.call_index is not null and item_rows.operation <> 'fork'
        group by item_rows.item_id, item_rows.session_key
        having count(tool_calls.id) <> 1
    """,
    "the path of every session ends where its history says": """
        with ends as (
            select
                session_key,
                arg_max(to_branch_id, history_id) as branch_id,
                arg_max(to_position, history_id) as position
            from history
            inner join session_rows using (session_id)
            group by session_key
        ),

        paths as (
            select
                current_branches.session_key, current_branches.branch_id, count(item_id) as length
            from current_branches
            left join branch_items using (branch_id)
            group by current_branches.session_key, current_branches.branch_id
        )

        select ends.session_key, concat(
            'history ends on branch ', ends.branch_id, ' after ', ends.position,
            ' items, the path is branch ', paths.branch_id, ' with ', paths.length
        )
        from ends
        inner join paths using (session_key)
        where ends.branch_id <> paths.branch_id or ends.position <> paths.length
    """,
    "the current branch is not deleted, and what a branch inherits is stored": """
        select session_key, concat('the path is on branch ', branch_id, ', which is deleted')
        from current_branches
        inner join deleted_branches using (branch_id)
        union all
        select session_key, concat('branch ', branch_id, ' inherits from ', source_branch_id)
        from lineage_rows
        where source_branch_id not in (select branch_id from branch_rows)
    """,
    "is_current marks exactly the current path": """
        with marked as (select session_key, item_id from placed_items where is_current),

        paths as (
            select current_branches.session_key, item_id
            from current_branches inner join branch_items using (branch_id)
        )

        select session_key, concat('item ', item_id)
        from (
            (select * from marked except all select * from paths)
            union all
            (select * from paths except all select * from marked)
        )
    """,
}
