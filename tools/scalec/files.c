/* SPDX-License-Identifier: Apache-2.0 */
/* The files that a command line writes: where two of them were one, the last would replace the
 * others without a word; and those that it reads, which nothing may replace. */
#include "tools/scalec/cli.h"

#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

enum { MOST = 8 };

/* What may be written beside the output: of a program as --emit says, of a graph its constants. */
static uint32_t add_beside(Cli *cli, const char **ret)
{
    ScArena *a = sc_ctx_arena(cli->cx);
    bool dump = !strcmp(cli->command, "dump");
    if (!strcmp(cli->command, "compile"))
        return scalec_written_beside(cli->cx, cli_emit_kind(cli), cli->output, ret);
    if (!dump && strcmp(cli->command, "rewrite"))
        return 0;
    ret[0] = sc_printf(a, "%s.data", cli->output);
    ret[1] = sc_printf(a, "%s.npz", cli->output);
    return dump ? 2 : 1;
}

bool cli_files_apart(Cli *cli)
{
    const char *const given[] = {cli->output, cli->lines, cli->save_stats, cli->state_save,
                                 cli->html};
    const char *file[MOST];
    uint32_t n = cli->output && strcmp(cli->output, "-") ? add_beside(cli, file) : 0;
    for (size_t i = 0; i < sizeof given / sizeof *given; i++)
        if (given[i])
            file[n++] = given[i];
    for (uint32_t i = 0; i < n; i++)
        for (uint32_t k = 0; k < i; k++)
            if (scrt_same_file(file[i], file[k])) {
                cli_misuse(cli, "two results would go to one file, %s", file[i]);
                return false;
            }
    return true;
}

/* A folder of such a name could only be met when all is done. */
static bool no_folders_beside(Cli *cli)
{
    const char *file[MOST];
    struct stat st;
    uint32_t n = cli->output && strcmp(cli->output, "-") ? add_beside(cli, file) : 0;
    for (uint32_t i = 0; i < n; i++)
        if (stat(file[i], &st) == 0 && S_ISDIR(st.st_mode))
            return sc_fail_file(cli->cx, file[i], SC_E_WRITE,
                                "%s; what goes with %s may have to be written there",
                                strerror(EISDIR), cli->output);
    return true;
}

bool cli_can_write(Cli *cli)
{
    const char *const given[] = {cli->output, cli->lines, cli->save_stats, cli->html};
    for (size_t i = 0; i < sizeof given / sizeof *given; i++)
        if (given[i] && !scalec_can_write(cli->cx, given[i]))
            return false;
    return no_folders_beside(cli);
}

/* --- Inputs ----------------------------------------------------------------------------------- */

/* path, and where it is a folder the files in it and in its folders: sets of samples. */
static void note(Cli *cli, const char *path, uint32_t depth)
{
    DIR *d = path && scalec_note_file(cli->cx, path) && depth ? opendir(path) : NULL;
    for (struct dirent *e; d && (e = readdir(d));)
        if (e->d_name[0] != '.')
            note(cli, sc_printf(sc_ctx_arena(cli->cx), "%s/%s", path, e->d_name), depth - 1);
    if (d)
        closedir(d);
}

/* FILE or NAME=FILE, whatever = the name has. */
static void note_named(Cli *cli, const char *text)
{
    for (; text; text = strchr(text, '=') ? strchr(text, '=') + 1 : NULL)
        note(cli, text, 0);
}

void cli_note_inputs(Cli *cli)
{
    const char *const file[] = {cli->calibrate, cli->data, cli->labels};
    for (size_t i = 0; i < sizeof file / sizeof *file; i++)
        note(cli, file[i], 2);
    for (uint32_t i = 0; i < cli->args.n; i++)
        note(cli, cli->args.item[i], 0);
    for (uint32_t i = 0; i < cli->entry.n; i++)
        note_named(cli, cli->entry.item[i]);
    for (uint32_t i = 0; i < cli->input.n; i++)
        note_named(cli, cli->input.item[i]);
}
