/* SPDX-License-Identifier: Apache-2.0 */
/* Between the files of the compiled executable's main. */
#ifndef SCRT_MAIN_PRIV_H
#define SCRT_MAIN_PRIV_H

#include "runtime/scrtio_priv.h"

#include <stdio.h>

enum { DONE = 0, FAULT = 1, USAGE = 2, DIFFER = 3 }; /* exit statuses */

typedef struct Cli { /* the command line, and what it was turned into */
    const ScrtModel *model;
    const ScrtEntry *entry; /* of the level that runs */
    uint32_t level;         /* the model's; where none runs here the least */
    bool level_given;
    const char *program;
    const char **input, **dim,
        **shape; /* [n_input], [n_dim], [n_shape] arguments of such options */
    int n_input, n_dim, n_shape;
    const char *output, *weights, *state_load, *state_save, *data, *labels;
    char sidecar[4096]; /* weights beside the executable, which weights is where none are named */
    double rtol, atol;
    bool tolerance_given; /* one of them: else also what the model rounds is granted */
    ScrtImage image;      /* of --image */
    bool has_image, used_image;
    ScrtFile label;               /* of --labels */
    int64_t threads, top, repeat; /* 0: not given */
    bool help, version, info, bench, json, profile, saturations, subnormals;

    ScrtRunFn run; /* instead of a session; NULL: scrt_run */
    void *self;
    ScrtSession *session;
    ScrtTensor *in, *out; /* [n_in], [n_out]; their data is owned */
    ScrtTensor *next_out; /* [n_out] types and dims of the outputs of the next run */
    const char **source;  /* [n_in] the file each input came from; NULL: made up */
    bool *bare;           /* [n_in] that file says neither type nor shape */
    bool made_up;         /* the inputs are no one's: for a benchmark */
    bool ran;
} Cli;

/* "program: text" on standard error; returns status. */
int scrtio_fail(const Cli *c, int status, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* A string from a model or a file, for a terminal: control characters become '?'. */
void scrtio_print_text(FILE *f, const char *text);
void scrtio_print_json_string(FILE *f, const char *text);
void scrtio_print_dims(FILE *f, const ScrtTensor *t); /* [8,784] */
void scrtio_show_dims(char *buf, size_t room, const ScrtTensor *t);
enum { ELEMENT = 64 }; /* bytes of an element's text */
/* Element i with all digits that tell it from the next. */
void scrtio_show_exact(char buf[ELEMENT], const ScrtTensor *t, size_t i);
/* "y: f32[2,3]" and the elements as NumPy shows them, long ones cut short. */
void scrtio_print_tensor(const char *name, const ScrtTensor *t);
/* The n largest elements with their indices: of each row where there are at most two dimensions,
 * else of all. A NaN counts as larger than any number, of equals the first comes first. */
void scrtio_print_top(const Cli *c, const char *name, const ScrtTensor *t, int64_t n);
/* Says so where --labels has not as many lines as those rows have elements. */
void scrtio_check_labels(const Cli *c, const char *name, const ScrtTensor *t);
void scrtio_print_profile(const Cli *c);
/* The same as members of a JSON object: "kernels": [...], "copies": {...} */
void scrtio_print_kernels_json(const Cli *c);
/* What the states of SCRT_SATURATED have counted. */
bool scrtio_counts_saturations(const Cli *c); /* there are any */
void scrtio_print_saturations(const Cli *c);
void scrtio_print_saturations_json(const Cli *c); /* a member: "saturations": [...] */
/* {"name": ..., "type": ..., "dims": ..., "data": [...]}: all elements; null for what JSON lacks.
 */
void scrtio_print_json_tensor(const char *name, const ScrtTensor *t);

void scrtio_print_help(const Cli *c);
void scrtio_print_version(const Cli *c);
/* What the compiler noted of an integer input: its elements lie in [lo, hi). */
bool scrtio_input_range(const ScrtModel *m, const char *input, int64_t *lo, int64_t *hi);
int scrtio_print_info(const Cli *c); /* its peak memory is that of c->session, where there is one */

/* The type below f32 that the compiler noted the model to round to on the way to an output;
 * SCRT_DTYPE_NONE: none. */
ScrtDtype scrtio_rounding(const ScrtModel *m, const char *output);
/* Every input from the files of -i. */
int scrtio_load_inputs(Cli *c);
/* Gives input i tensor k of the file: its head is checked before its elements are read. */
int scrtio_take_tensor(Cli *c, uint32_t i, const ScrtTensorFile *f, uint32_t k, const char *path);
/* Every input at the dims of --dim, 1 where nothing is said: normal random floats, integers from
 * the range that the compiler noted, else 0 and 1 by turns. */
int scrtio_make_inputs(Cli *c);
/* A symbol's size in such inputs: that of --dim, else 1; a name that is a sum, as exporters call
 * what a cache and new tokens make together ("past + new"), is the sum of its parts' sizes. */
int64_t scrtio_made_up_size(const Cli *c, uint32_t sym);
/* The entry's symbol of this name; -1: there is none. */
int64_t scrtio_find_symbol(const Cli *c, const char *name, size_t n);
/* What --dim says of it; false: nothing. */
bool scrtio_given_size(const Cli *c, const char *name, size_t n, int64_t *ret);
int scrtio_run_model(Cli *c);
/* Before a run: lets go of outputs that states have given other extents than they had. */
ScrtStatus scrtio_fit_outputs(Cli *c);
bool scrtio_same_shape(const ScrtTensor *a, const ScrtTensor *b); /* and type */
/* Every state as it was before the first run. */
int scrtio_begin_states(Cli *c);
/* After scrt_run failed: why, and of made-up inputs the sizes that nobody gave. */
int scrtio_fail_run(const Cli *c);
int scrtio_run_bench(Cli *c);
int scrtio_run_data(Cli *c);
void scrtio_free_tensors(Cli *c); /* inputs and outputs */

/* dims[i] of port, as its signature says: true with a number, or false with the symbol's (or the
 * expression's) text in ret_text. */
bool scrtio_port_dim(const ScrtPort *p, uint32_t i, int64_t *ret, const char **ret_text,
                     size_t *ret_n);
/* A decimal number that takes all of text, at least least. */
bool scrtio_parse_number(const char *text, int64_t least, int64_t *ret);

#endif
