/* SPDX-License-Identifier: Apache-2.0 */
/* scalec dump: any stage as text, DOT, JSON, HTML or ONNX. With --data the graph is also run, and
 * the tensors whose data lies outside [2^-3, 2^3] are listed, or drawings show what rounding lost
 * there; at the last stage the kernels' variants and tiles are listed. */
#include "tools/scalec/cli.h"
#include "tools/scalec/hooks.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* The tensors out of range on the samples, as comments after the text. */
static bool list_outside(Cli *cli, const ScGraph *g, ScStr *out)
{
    ScalecSamples *s = scalec_samples_open(cli->cx, g, cli->data, &cli->sample);
    ScDamage *d = s ? sc_damage_begin(cli->cx, g, NULL) : NULL;
    uint32_t n = 0, outside = 0, count = 0;
    bool ok = d != NULL && cli_add_samples(cli, s, INFINITY, d, &count);
    const ScReport *r = d ? sc_damage_end(d, &n) : NULL;
    for (uint32_t i = 0; ok && i < n; i++)
        outside += r[i].outside;
    if (ok)
        sc_str_addf(out, "; on %u samples, stored outside its format's range: %u of %u tensors\n",
                    count, outside, n);
    for (uint32_t i = 0; ok && i < n; i++)
        if (r[i].outside)
            sc_str_addf(out, ";   %s: log2 RMS %.2f, amax %.4g\n", r[i].name, log2(r[i].rms),
                        r[i].amax);
    scalec_samples_close(s);
    return ok;
}

/* Every kernel's variants and tile, as comments after the text. */
static bool list_kernels(Cli *cli, const ScGraph *g, ScStr *out)
{
    ScCodegenOptions opt = {.cpu = cli->opt.cpu, .target = cli->opt.target};
    ScGraph *numbers = sc_keep_numbers(cli->cx, g);
    const ScCodegenEntry main = {"main", g, numbers};
    ScObject *o = sc_codegen_entries(cli->cx, 1, &main, &opt, SC_EMIT_OBJ);
    sc_graph_free(numbers);
    if (!o)
        return false;
    for (uint32_t i = 0; i < o->n_level * o->n_kernel; i++) {
        if (o->n_level > 1 && i % o->n_kernel == 0)
            sc_str_addf(out, "; level %s\n", o->level[i / o->n_kernel].name);
        sc_str_addf(out, "; %s from %s: %s\n", o->kernel[i].name, o->kernel[i].from,
                    o->kernel[i].what);
    }
    sc_str_addf(out, "; weights: %zu bytes\n", o->n_weights);
    scalec_object_free(o);
    return true;
}

static bool write_text(Cli *cli, const ScGraph *g, const char *path)
{
    ScStr tail = {0};
    bool ok = (!(g->flags & SC_G_KERNELS) || list_kernels(cli, g, &tail)) &&
              (!cli->data || list_outside(cli, g, &tail)) &&
              scalec_write_text(cli->cx, g, SC_PRINT_COMMENTS, sc_str_get(&tail), path);
    sc_str_free(&tail);
    return ok;
}

/* Reports of g's constants and, with --data, of its values on samples; NULL with errors. */
static const ScReport *reports(Cli *cli, const ScGraph *g, uint32_t *ret_n)
{
    uint32_t count;
    ScalecSamples *s = cli->data ? scalec_samples_open(cli->cx, g, cli->data, &cli->sample) : NULL;
    ScDamage *d = sc_damage_begin(cli->cx, g, NULL);
    bool ok = !cli->data || (s && cli_add_samples(cli, s, INFINITY, d, &count));
    const ScReport *r = sc_damage_end(d, ret_n);
    scalec_samples_close(s);
    return ok ? r : NULL;
}

static bool write_drawing(Cli *cli, const ScGraph *g, const char *format, const char *path)
{
    uint32_t n;
    const ScReport *r = reports(cli, g, &n);
    return r && (*format == 'd' ? scalec_write_dot : scalec_write_html)(cli->cx, g, r, n, path);
}

static bool write_other(Cli *cli, const ScGraph *g, const char *format, const char *path)
{
    switch (*format) {
    case 'd':
    case 'h':
        return write_drawing(cli, g, format, path);
    case 'j':
        return scalec_write_json(cli->cx, g, path);
    default:
        return scalec_write_onnx(cli->cx, g, cli_profile(cli), cli->opt.embed_limit, path);
    }
}

static bool write_why(Cli *cli, const ScGraph *g, const char *path)
{
    ScStr text = {0};
    bool ok = sc_why(cli->cx, g, cli->why, &text) &&
              scalec_write_file(cli->cx, path, sc_str_get(&text), text.n);
    sc_str_free(&text);
    return ok;
}

/* What was asked for, else what the output's name ends in: out.html is a page. */
static const char *format_of(const Cli *cli)
{
    static const char *const formats[] = {"dot", "json", "html", "onnx"};
    const char *dot = cli->output ? strrchr(cli->output, '.') : NULL;
    if (cli->format || cli->json)
        return cli->format ? cli->format : "json";
    for (size_t i = 0; dot && !cli->why && i < sizeof formats / sizeof *formats; i++)
        if (!strcmp(dot + 1, formats[i]))
            return formats[i];
    return "text";
}

int cmd_dump(Cli *cli)
{
    const char *format = format_of(cli);
    const char *path = cli->output ? cli->output : "-";
    ScalecModel m;
    ScalecSamples *samples = NULL;
    if (cli->data && !cli->eval_each && (*format == 'j' || *format == 'o'))
        return cli_misuse(
            cli, "--data lists tensors behind the text and colours drawings; no %s has them",
            format);
    if (!cli_load(cli, &m))
        return cli_failed(cli);
    bool settled = cli->why || *format == 'h' || *format == 'o';
    cli->opt.until = settled && !cli->stage ? "settle" : cli->stage;
    bool ok = cli_can_write(cli) && cli_statistics(cli, &m) && hooks_begin(cli, &m, &samples);
    ScGraph *g = ok ? scalec_rewrite(cli->cx, &m, &cli->opt) : NULL;
    ok = hooks_end(cli, samples, g != NULL);
    if (ok && cli->why)
        ok = write_why(cli, g, path);
    else if (ok && !strcmp(format, "text"))
        ok = write_text(cli, g, path);
    else if (ok)
        ok = write_other(cli, g, format, path);
    sc_graph_free(g);
    sc_graph_free(m.graph);
    return ok ? cli_done(cli) : cli_failed(cli);
}
