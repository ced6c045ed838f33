/* SPDX-License-Identifier: Apache-2.0 */
/* Kernels to machine code: a graph of kernels (SC_G_KERNELS) becomes one object with one ScrtModel
 * in it and one blob of packed constants. Only this folder sees LLVM. */
#ifndef SC_CODEGEN_H
#define SC_CODEGEN_H

#include "ir/op.h"

typedef enum ScEmit { SC_EMIT_OBJ, SC_EMIT_ASM, SC_EMIT_LLVM } ScEmit;

/* Functions that do what the instructions of tile registers (AMX) do, in the calling thread. */
typedef struct ScTileModel {
    void (*config)(const void *from);                        /* LDTILECFG */
    void (*release)(void);                                   /* TILERELEASE */
    void (*zero)(int64_t t);                                 /* TILEZERO */
    void (*load)(int64_t t, const void *from, int64_t step); /* TILELOADD */
    void (*store)(int64_t t, void *to, int64_t step);        /* TILESTORED */
    void (*dot)(int64_t c, int64_t a, int64_t b);            /* TDPBF16PS */
} ScTileModel;

typedef struct ScCodegenOptions {
    /* "x86-64-v2", "x86-64-v3", "x86-64-v4" or LLVM's name; NULL: "native", and for AArch64, whose
     * native processor is not asked, the baseline, Armv8-A ("generic"). Several, separated by
     * commas, are levels: there is code for each, and a processor runs that of the last one that it
     * has. "fat": the usual ones, FAT in cpus.def. */
    const char *cpu;
    const char *target; /* triple; NULL: the host's */
    const char *symbol; /* of the emitted ScrtModel; NULL: model_NAME, NAME the graph's */
    const char *info;   /* JSON for ScrtModel.info; NULL: "{}" */
    uint64_t
        embed_limit; /* weights up to this many bytes are put into the object; else a sidecar */
    /* Opens an empty file for more weights than that, for reading and writing; codegen closes it.
     * -1 with errno set where it cannot be opened. NULL: they stay in memory. */
    int (*weights_file)(void *arg);
    void *arg;
    const char *weights_name; /* of that file's artefact, for messages; or NULL */
    /* Debug lines: the file, absolute, to which the caller writes ScObject.listing. NULL: none. */
    const char *listing;
    /* Compiled in less time, for a program that runs once or a few times; weights in memory have no
     * hash. */
    bool quick;
    /* For tests: code as for a processor that also has tile registers, and calls these in the place
     * of their instructions, so it runs in this process alone. NULL: code as for the processor. */
    const ScTileModel *tiles;
    bool fault_tail; /* debug builds: kernels ignore their tail, for the test that this is caught */
} ScCodegenOptions;

/* One of the graphs that become one model: they share weights, and states of equal names. */
typedef struct ScCodegenEntry {
    const char *name; /* "main" where there is one */
    const ScGraph *g;
    const ScGraph *numbers; /* the same, computed from codes that are kept as numbers
                             * (sc_keep_numbers), for processors that take long to make codes and to
                             * read them; or NULL */
} ScCodegenEntry;

typedef struct ScKernelReport { /* what dump prints of a kernel */
    const char *name;           /* "k3" */
    const char *from;           /* ONNX nodes */
    const char
        *what; /* "contract f8e4m3fn x f8e4m3fn: m <= 3 stream 4 panels; else tile 14x32, kc 256" */
} ScKernelReport;

typedef struct ScLevelReport {
    const char *name; /* of ScCodegenOptions.cpu */
    uint64_t weights; /* bytes that its entries read */
} ScLevelReport;

typedef struct ScObject { /* owned by the caller: sc_object_free */
    ScEmit emit;
    void *bytes; /* the object, or text */
    size_t n;
    void *weights; /* packed constants, aligned to 64; NULL: in the file that was opened for them */
    size_t n_weights;
    bool embedded; /* weights are in the object */
    const char *symbol;
    const char *header;  /* C header text that declares the symbol and documents the signature */
    const char *listing; /* the graphs of kernels as the debug lines count them; or NULL */
    uint32_t n_level;
    const ScLevelReport *level;
    uint32_t n_kernel;            /* of a level: all have as many */
    const ScKernelReport *kernel; /* [n_level][n_kernel] */
    bool foreign;                 /* made for another architecture than this one */
    const char *weights_path;     /* for the caller: where the file with the weights is; or NULL */
    ScArena *arena;
} ScObject;

/* Whether code is made for this triple, and runs on another architecture than scalec does. */
bool sc_target_is_elsewhere(const char *triple);

/* NULL with errors in cx. Same graphs, options and version give the same bytes. The first entry is
 * the one that runs unless another is asked for; it names the model. Constants of equal content are
 * stored once, states of one name must be of one type and have equal first values. opt may be NULL.
 */
ScObject *sc_codegen_entries(ScCtx *cx, uint32_t n, const ScCodegenEntry *entry,
                             const ScCodegenOptions *opt, ScEmit emit);
/* The same of one graph. */
ScObject *sc_codegen(ScCtx *cx, const ScGraph *g, const ScCodegenOptions *opt, ScEmit emit);
void sc_object_free(ScObject *o); /* takes NULL */

/* Loads an object (SC_EMIT_OBJ, for the host) into this process; NULL with errors in cx. The model
 * lives until sc_unload, and so must o, whose memory holds the weights where they are not embedded.
 */
typedef struct ScLoaded ScLoaded;
ScLoaded *sc_load(ScCtx *cx, const ScObject *o);
const ScrtModel *sc_loaded_model(const ScLoaded *l);
void sc_unload(ScLoaded *l); /* takes NULL */

#endif
