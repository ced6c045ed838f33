/* SPDX-License-Identifier: Apache-2.0 */
/* scalec check --html: a page of all recipes, their columns of numbers and their tables. */
#include "tools/scalec/cli.h"

#include <stdlib.h>

static bool write(Cli *cli, json_t *all)
{
    char *text = json_dumps(all, JSON_COMPACT);
    if (!text)
        sc_out_of_memory(0);
    bool ok = scalec_write_sheet(cli->cx, text, cli->html);
    free(text);
    return ok;
}

bool cli_sheet(Cli *cli, const ScalecModel *m)
{
    const char *recipes = cli->opt.recipe;
    bool several = cli_is_several(cli);
    ScScales scales = cli->opt.scales;
    json_t *all = cli_columns_json(cli, m, several), *column, *tensors;
    size_t i;
    bool ok = all != NULL;
    json_array_foreach(json_object_get(all, "recipes"), i, column)
    {
        if (!ok)
            break;
        cli->opt.recipe = json_string_value(json_object_get(column, "recipe"));
        cli->opt.scales = scales;
        cli->opt.stats = NULL;
        tensors = cli_check_tensors(cli, m, !several);
        ok = tensors && json_object_set_new(column, "tensors", tensors) == 0;
    }
    ok = ok && json_object_set_new(all, "title", json_string(cli->args.item[0])) == 0 &&
         write(cli, all);
    cli->opt.recipe = recipes; /* the string of a column ends with all */
    json_decref(all);
    return ok;
}
