/* SPDX-License-Identifier: Apache-2.0 */
/* Debug lines: the graphs of kernels as text, and of each instruction the line of the node that it
 * serves. A kernel's code stands at its leader's line, that of a MAP node at its own. Code that
 * equal kernels share stands at the lines of the first; register tiles, which unlike ones share, at
 * none. */
#include "codegen/emit/emit.h"

#include <assert.h>
#include <llvm-c/DebugInfo.h>
#include <string.h>

struct CgListing {
    ScStr text;
    ScLines lines;
    LLVMDIBuilderRef dib;
    LLVMMetadataRef file, type;
};

static void module_flag(CgModule *m, const char *key, uint32_t value)
{
    LLVMMetadataRef x = LLVMValueAsMetadata(LLVMConstInt(m->i32, value, 0));
    LLVMAddModuleFlag(m->mod, LLVMModuleFlagBehaviorWarning, key, strlen(key), x);
}

static void begin_unit(CgModule *m, CgListing *l, const char *path)
{
    static const char producer[] = "scalec";
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    module_flag(m, "Debug Info Version", LLVMDebugMetadataVersion());
    module_flag(m, "Dwarf Version", 5);
    l->dib = LLVMCreateDIBuilder(m->mod);
    l->file = LLVMDIBuilderCreateFile(l->dib, name, strlen(name), path,
                                      slash > path ? (size_t)(slash - path) : 1);
    LLVMDIBuilderCreateCompileUnit(l->dib, LLVMDWARFSourceLanguageC11, l->file, producer,
                                   sizeof producer - 1, true, "", 0, 0, "", 0,
                                   LLVMDWARFEmissionLineTablesOnly, 0, false, false, "", 0, "", 0);
    l->type = LLVMDIBuilderCreateSubroutineType(l->dib, l->file, NULL, 0, LLVMDIFlagZero);
}

/* Some level of the program computes from numbers, or from codes. */
static bool some_level(const CgModule *m, bool numbers)
{
    for (uint32_t i = 0; i < m->n_level; i++)
        if (m->levels[i].numbers == numbers)
            return true;
    return false;
}

void cg_listing_begin(CgModule *m, uint32_t n, const ScCodegenEntry *entry)
{
    if (!m->opt->listing)
        return;
    CgListing *l = m->listing = sc_new(m->arena, CgListing);
    for (uint32_t i = 0; i < n; i++) {
        if (n > 1)
            sc_str_addf(&l->text, "; entry %s\n", entry[i].name);
        if (!entry[i].numbers || some_level(m, false))
            sc_print_lines(entry[i].g, SC_PRINT_COMMENTS, &l->text, &l->lines);
        if (entry[i].numbers && some_level(m, true)) {
            sc_str_add(&l->text, "; codes kept as numbers\n");
            sc_print_lines(entry[i].numbers, SC_PRINT_COMMENTS, &l->text, &l->lines);
        }
    }
    sc_lines_end(&l->lines);
    begin_unit(m, l, m->opt->listing);
}

static bool is_input(const ScNode *n)
{
    return n->op->lower.cls == SC_SOURCE && !(n->op->flags & SC_CONST_OP);
}

/* Node n of f->sub is one of the kernel's nested graph, which has the same nodes in the same order;
 * inputs may stand elsewhere. */
static uint32_t line_of(const CgListing *l, const CgFunc *f, const ScNode *n)
{
    const ScGraph *g = f->node->sub[0];
    uint32_t before = 0;
    assert(n >= f->sub->node && n < f->sub->node + f->sub->n_node);
    for (const ScNode *p = f->sub->node; p != n; p++)
        before += !is_input(p);
    for (uint32_t i = 0; i < g->n_node; i++)
        if (!is_input(&g->node[i]) && before-- == 0)
            return sc_line_of(&l->lines, &g->node[i]);
    return sc_line_of(&l->lines, f->node);
}

void cg_lines_function(Cg *cg)
{
    CgListing *l = cg->m->listing;
    if (!l || !cg->f)
        return;
    size_t n;
    const char *name = LLVMGetValueName2(cg->fn, &n);
    uint32_t line = sc_line_of(&l->lines, cg->f->node);
    LLVMSetSubprogram(cg->fn,
                      LLVMDIBuilderCreateFunction(l->dib, l->file, name, n, "", 0, l->file, line,
                                                  l->type, true, true, line, LLVMDIFlagZero, true));
    cg_lines_at(cg, NULL);
}

void cg_lines_at(Cg *cg, const ScNode *n)
{
    const CgListing *l = cg->m->listing;
    LLVMMetadataRef scope = l ? LLVMGetSubprogram(cg->fn) : NULL;
    if (!scope)
        return;
    const ScNode *lead = sc_leader(cg->f->sub);
    uint32_t line =
        n || lead ? line_of(l, cg->f, n ? n : lead) : sc_line_of(&l->lines, cg->f->node);
    LLVMMetadataRef at = LLVMDIBuilderCreateDebugLocation(cg->m->ctx, line, 0, scope, NULL);
    LLVMSetCurrentDebugLocation2(cg->b, at);
    if (!n)
        LLVMSetCurrentDebugLocation2(cg->eb, at);
}

const char *cg_listing_end(CgModule *m, ScArena *a)
{
    CgListing *l = m->listing;
    if (!l)
        return NULL;
    LLVMDIBuilderFinalize(l->dib);
    return sc_strdup(a, sc_str_get(&l->text));
}

void cg_listing_done(CgModule *m)
{
    CgListing *l = m->listing;
    if (!l)
        return;
    LLVMDisposeDIBuilder(l->dib);
    sc_str_free(&l->text);
    sc_lines_free(&l->lines);
}
