/* SPDX-License-Identifier: Apache-2.0 */
/* scalec rewrite: the scaled and quantized graph as standard ONNX, for other runtimes. */
#include "tools/scalec/cli.h"

int cmd_rewrite(Cli *cli)
{
    ScalecModel m;
    if (!cli->output)
        return cli_misuse(cli, "say where to: -o OUT.onnx");
    if (!cli_load(cli, &m))
        return cli_failed(cli);
    cli->opt.until = "settle";
    bool ok = cli_can_write(cli) && cli_statistics(cli, &m);
    ScGraph *g = ok ? scalec_rewrite(cli->cx, &m, &cli->opt) : NULL;
    ok = g && scalec_write_onnx(cli->cx, g, cli_profile(cli), cli->opt.embed_limit, cli->output);
    sc_graph_free(g);
    sc_graph_free(m.graph);
    return ok ? cli_done(cli) : cli_failed(cli);
}
