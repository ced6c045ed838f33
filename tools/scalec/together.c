/* SPDX-License-Identifier: Apache-2.0 */
/* The options that go together, and those that do not: whatever would be ignored is refused, its
 * giver believes in it. */
#include "tools/scalec/options.h"

#include <string.h>

static bool misuse(const Cli *cli, bool wrong, const char *why)
{
    return wrong && cli_misuse(cli, "%s", why) != 0;
}

/* Those that say how something is done which nobody asked for. */
static bool is_idle(const Cli *cli)
{
    bool compares = cli->data && (!strcmp(cli->command, "run") || !strcmp(cli->command, "diff"));
    return misuse(cli, cli->tolerance_given && !compares && !cli->eval_each,
                  "--rtol and --atol say how near outputs are to be: with --data PATH") ||
           misuse(cli, cli->state_capacity && !cli->n_state,
                  "--state-capacity says how long states grow: with --state OUT=IN") ||
           misuse(cli,
                  !strcmp(cli->command, "check") && cli_is_several(cli) &&
                      (cli->top || cli->budget_given),
                  "--top and --budget are of the tensors of one recipe") ||
           misuse(cli, cli->args.n && (cli->internal || cli->dtype),
                  "--internal and --dtype list what there is, without a MODEL") ||
           misuse(cli, cli->args.n && cli->all, "--all explains all: no number");
}

bool cli_goes_together(Cli *cli)
{
    bool run = !strcmp(cli->command, "run"), compile = !strcmp(cli->command, "compile");
    bool imported = !strcmp(cli->command, "diff") && (!cli->stage || !strcmp(cli->stage, "import"));
    bool other = cli->scales_given && cli->opt.scales != SC_SCALES_CALIBRATE;
    bool files = cli->data || cli->calibrate || cli->input.n;
    ScrtImage image = {0};
    ScrtIoError err = {""};
    if (cli->image && scrt_image_parse(cli->image, &image, &err) != SCRT_OK)
        return cli_misuse(cli, "--image: %s", err.text) == 0;
    bool given = cli->input.n || cli->output || cli->top || cli->bench || cli->profile ||
                 cli->repeat || cli->state_load || cli->state_save;
    if (!cli_files_apart(cli) || is_idle(cli))
        return false;
    return !(misuse(cli, cli->calibrate && other,
                    "--calibrate measures scales, which only --scales calibrate uses") ||
             misuse(cli, cli->save_stats && cli->calibrate && cli_is_stats(cli->calibrate),
                    "--save-stats: nothing is measured, --calibrate gives statistics already") ||
             misuse(cli, cli->why && (cli->format || cli->json || (cli->data && !cli->eval_each)),
                    "--why prints a derivation as text: no --format, --json or --data") ||
             misuse(cli,
                    cli->dump_after && (cli->json || (cli->output && !strcmp(cli->output, "-"))),
                    "--dump-after prints on standard output: -o OUT, no --json") ||
             misuse(cli, cli->lines && !strcmp(cli->lines, "-"),
                    "--lines: a file, which the debug lines name") ||
             misuse(cli, cli->opt.scales == SC_SCALES_CALIBRATE && !cli->calibrate,
                    "--scales calibrate needs --calibrate FILE") ||
             misuse(cli,
                    cli->print_link &&
                        (!cli->emit || (strcmp(cli->emit, "so") && strcmp(cli->emit, "obj"))),
                    "--print-link is for what programs are linked with: --emit so or obj") ||
             misuse(cli, (cli->image || cli->shape.n) && !files,
                    "--image and --shape say what files of -i, --data and --calibrate are") ||
             misuse(cli,
                    imported &&
                        (cli->opt.recipe || cli->calibrate || cli->scales_given || cli->disable.n),
                    "--recipe, --scales, --calibrate and --disable are of later stages than "
                    "import: --stage STAGE") ||
             misuse(cli, cli->eval_each && !cli->data, "--eval-each needs inputs: --data PATH") ||
             misuse(cli, compile && cli->data && !cli->eval_each,
                    "--data is for --eval-each here; --calibrate FILE measures scales") ||
             misuse(cli, run && cli->data && given,
                    "--data compares with expected outputs, and goes with none of -i, -o, --top, "
                    "--bench, --profile, --repeat and states"));
}
