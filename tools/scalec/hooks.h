/* SPDX-License-Identifier: Apache-2.0 */
/* What --dump-after, --time-passes and --eval-each ask of a pipeline run. */
#ifndef SC_CLI_HOOKS_H
#define SC_CLI_HOOKS_H

#include "tools/scalec/cli.h"

/* Puts the hooks into cli->opt; samples must stay open until hooks_end. False with errors. */
bool hooks_begin(Cli *cli, const ScalecModel *m, ScalecSamples **ret_samples);
/* Prints what was dumped if the run went well; answers ok, or false where that fails. */
bool hooks_end(Cli *cli, ScalecSamples *samples, bool ok);

#endif
