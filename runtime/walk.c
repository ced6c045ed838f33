/* SPDX-License-Identifier: Apache-2.0 */
/* The walker: a program's steps, one after another. It decides nothing; what a step means is said
 * in scrt.h. Programs are trusted as code is, but the numbers in them come from outside: extents
 * may be anything, so every sum and product is checked. */
#include "runtime/call.h"
#include "runtime/num/num.h"
#include "runtime/session_priv.h"

#include <stdio.h>
#include <string.h>

/* --- Terms --- */

static bool floor_div(int64_t a, int64_t b, int64_t *ret)
{
    if (b == 0 || (a == INT64_MIN && b == -1))
        return false;
    *ret = a / b - (a % b != 0 && (a < 0) != (b < 0));
    return true;
}

static bool binary(ScrtWord op, int64_t a, int64_t b, int64_t *ret)
{
    switch (op) {
    case SCRT_W_ADD:
        return !__builtin_add_overflow(a, b, ret);
    case SCRT_W_MUL:
        return !__builtin_mul_overflow(a, b, ret);
    case SCRT_W_FDIV:
        return floor_div(a, b, ret);
    case SCRT_W_CDIV:
        if (!floor_div(a, b, ret))
            return false;
        *ret += a % b != 0;
        return true;
    case SCRT_W_MOD:
        if (!floor_div(a, b, ret))
            return false;
        *ret = a - b * *ret;
        return true;
    case SCRT_W_MIN:
        *ret = a < b ? a : b;
        return true;
    case SCRT_W_MAX:
        *ret = a > b ? a : b;
        return true;
    default: /* SCRT_W_BCAST */
        *ret = a == 1 ? b : a;
        return true;
    }
}

static bool eval(int64_t *value, const int64_t *word, uint32_t n)
{
    int64_t stack[SCRT_STACK], *top = stack;
    for (const int64_t *end = word + n; word < end; word++) {
        switch ((ScrtWord)*word) {
        case SCRT_W_CONST:
            *top++ = *++word;
            break;
        case SCRT_W_VALUE:
            *top++ = value[*++word];
            break;
        case SCRT_W_STORE:
            value[*++word] = *--top;
            break;
        case SCRT_W_LOG2:
            top[-1] = top[-1] < 1 ? 0 : 63 - __builtin_clzll((uint64_t)top[-1]);
            break;
        default:
            top--;
            if (!binary((ScrtWord)*word, top[-1], top[0], &top[-1]))
                return false;
        }
    }
    return true;
}

static ScrtStatus fail_eval(ScrtSession *s, const ScrtStep *p)
{
    const char *node = s->entry->who[p->who].node;
    return scrt_fail(s, SCRT_E_MEMORY, "%s%.300s%s", node ? node : "", node ? ": " : "",
                     "the sizes for these inputs would be too large");
}

/* --- Guards --- */

bool scrt_guard_holds(uint32_t kind, int64_t a, int64_t b)
{
    switch ((ScrtGuardKind)kind) {
    case SCRT_GUARD_EQUAL:
        return a == b;
    case SCRT_GUARD_DIFFER:
        return a != b;
    case SCRT_GUARD_AT_MOST:
        return a <= b;
    case SCRT_GUARD_DIVIDES:
        return a == 0 ? b == 0 : a == -1 || b % a == 0;
    case SCRT_GUARD_MEET:
        return a == b || a == 1 || b == 1;
    case SCRT_GUARD_FITS:
        return a == b || a == 1;
    }
    return false;
}

/* The text of a term that is no number: its value is then told too. */
static bool is_symbolic(const char *term)
{
    return term[strspn(term, "-0123456789")] != '\0';
}

/* What says that text goes on behind that many bytes. */
static const char *dots(const char *text, size_t most)
{
    return strlen(text) > most ? "..." : "";
}

/* "k, which is 4", or "4". */
static void show_term(char buf[128], const char *term, int64_t x)
{
    if (is_symbolic(term))
        snprintf(buf, 128, "%.80s%s, which is %lld", term, dots(term, 80), (long long)x);
    else
        snprintf(buf, 128, "%lld", (long long)x);
}

void scrt_guard_text(char *buf, size_t room, uint32_t kind, const char *a, int64_t x, const char *b,
                     int64_t y)
{
    /* Of the first term beside the second, or turned, where the first is a number. */
    static const char *const must[][2] = {
        [SCRT_GUARD_EQUAL] = {"must be", "must be"},
        [SCRT_GUARD_DIFFER] = {"must not be", "must not be"},
        [SCRT_GUARD_AT_MOST] = {"must be at most", "must be at least"},
        [SCRT_GUARD_DIVIDES] = {"must divide", "must be a multiple of"},
        [SCRT_GUARD_MEET] = {"must be 1 or", "must be 1 or"},
        [SCRT_GUARD_FITS] = {"must be 1 or", "must be"},
    };
    char other[128];
    bool turned = !is_symbolic(a);
    if (turned)
        show_term(other, a, x);
    else
        show_term(other, b, y);
    const char *subject = turned ? b : a, *words = must[kind][turned];
    if (kind == SCRT_GUARD_MEET && !turned && is_symbolic(b))
        snprintf(buf, room,
                 "%.80s%s is %lld and %.80s%s is %lld: they must be equal, or one of them 1", a,
                 dots(a, 80), (long long)x, b, dots(b, 80), (long long)y);
    else
        snprintf(buf, room, "%.80s%s is %lld and %s %s", subject, dots(subject, 80),
                 (long long)(turned ? y : x), words, other);
}

static ScrtStatus fail_guard(ScrtSession *s, const ScrtStep *p)
{
    const ScrtWho *w = &s->entry->who[p->who];
    char text[400] = "", dims[160];
    if (!w->node) {
        const ScrtPort *in = &s->entry->in[w->input];
        if (w->a)
            snprintf(text, sizeof text, ", and %.80s%s is %lld (%.200s%s)", w->a, dots(w->a, 80),
                     (long long)s->value[p->c], w->where, dots(w->where, 200));
        return scrt_fail(s, SCRT_E_SHAPE,
                         "input '%.100s' has the shape %s, the model takes [%.100s]%s", in->name,
                         scrt_show_dims(dims, sizeof dims, s->in_dims[w->input], in->rank),
                         in->dims, text);
    }
    scrt_guard_text(text, sizeof text, p->a, w->a, s->value[p->b], w->b, s->value[p->c]);
    return scrt_fail(s, SCRT_E_SHAPE, "%.120s: %s: %s%s%.300s%s%s", w->node, w->what, text,
                     *w->where ? " (" : "", w->where, dots(w->where, 300), *w->where ? ")" : "");
}

/* --- Memory --- */

static ScrtStatus grow_segment(ScrtSession *s, uint32_t i, uint64_t bytes)
{
    void **at = &s->buffer[s->first_segment + i];
    if (*at && bytes <= s->room[i])
        return SCRT_OK;
    scrt_free(*at); /* its contents mean nothing before they are written */
    s->work_bytes -= s->room[i];
    s->room[i] = 0;
    *at = bytes <= PTRDIFF_MAX ? scrt_alloc((size_t)bytes) : NULL;
    if (!*at)
        return scrt_fail(s, SCRT_E_MEMORY, "out of memory: %llu bytes of workspace",
                         (unsigned long long)bytes);
    s->room[i] = (size_t)bytes;
    s->work_bytes += s->room[i];
    return SCRT_OK;
}

/* As much again as is asked for, or the half of that, ... where memory is short: what grows step by
 * step is copied seldom. */
static ScrtStatus extend_segment(ScrtSession *s, uint32_t i, uint64_t bytes)
{
    void **at = &s->buffer[s->first_segment + i], *more = NULL;
    uint64_t extra = 2 * bytes, room = 0;
    if (bytes <= s->room[i])
        return SCRT_OK;
    while (!more && bytes <= PTRDIFF_MAX / 2 && extra > bytes / 16) {
        extra /= 2;
        room = bytes + extra;
        more = scrt_alloc((size_t)room);
    }
    if (!more)
        return scrt_fail(s, SCRT_E_MEMORY, "out of memory: %llu bytes of workspace",
                         (unsigned long long)bytes);
    if (s->room[i])
        memcpy(more, *at, s->room[i]);
    scrt_free(*at);
    *at = more;
    s->work_bytes += (size_t)room - s->room[i];
    s->room[i] = (size_t)room;
    return SCRT_OK;
}

static void swap_segments(ScrtSession *s, uint32_t a, uint32_t b)
{
    void *at = s->buffer[a];
    size_t room = s->room[a - s->first_segment];
    s->buffer[a] = s->buffer[b];
    s->room[a - s->first_segment] = s->room[b - s->first_segment];
    s->buffer[b] = at;
    s->room[b - s->first_segment] = room;
}

/* Whether the extents of output i are known before a run: then the caller has asked for them. */
static bool size_is_known(const ScrtSession *s, uint32_t i)
{
    for (uint32_t k = 0; k < s->entry->out[i].rank; k++)
        if (s->entry->out_dims[i][k] & SCRT_LATE)
            return false;
    return true;
}

static ScrtStatus find_output(ScrtSession *s, uint32_t i, uint64_t bytes)
{
    const ScrtTensor *t = &s->out[i];
    const char *name = s->entry->out[i].name;
    size_t have;
    void **at = &s->buffer[s->first_out + i];
    *at = t->data;
    if (*at && !size_is_known(s, i) && (!scrt_tensor_bytes(t, &have) || have < bytes))
        return scrt_fail(s, SCRT_E_ARGUMENT, "output '%.100s' has %llu bytes, more than its room",
                         name, (unsigned long long)bytes);
    if (*at)
        return SCRT_OK;
    *at = bytes <= PTRDIFF_MAX ? scrt_alloc((size_t)bytes) : NULL;
    if (!*at)
        return scrt_fail(s, SCRT_E_MEMORY, "out of memory for output '%.100s': %llu bytes", name,
                         (unsigned long long)bytes);
    s->made[i] = true;
    s->made_bytes += (size_t)bytes;
    return SCRT_OK;
}

/* --- Steps --- */

static void *at(const ScrtSession *s, uint32_t place)
{
    const ScrtPlace *p = &s->entry->place[place];
    uintptr_t base = (uintptr_t)s->buffer[p->buffer]; /* may be NULL where there are no elements */
    return (void *)(base + (uintptr_t)(p->offset + s->value[p->value]));
}

static void find_places(ScrtSession *s, const ScrtStep *p)
{
    s->arg[SCRT_ARG_PARAMS] = &s->value[p->e];
    for (uint32_t i = 0; i < p->d; i++)
        s->arg[SCRT_ARG_PLACES + i] = at(s, p->c + i);
}

static ScrtStatus fail_code(ScrtSession *s, const ScrtStep *p, ScrtStatus st, const char *why)
{
    const char *node = s->entry->who[p->who].node;
    char outside[120];
    if (!why) {
        why = outside;
        snprintf(outside, sizeof outside, "index %lld is outside an axis of %lld",
                 (long long)s->call.index, (long long)s->call.extent);
        s->call.extent = 0;
    }
    return scrt_fail(s, st, "%.300s%s%s", node ? node : "", node ? ": " : "", why);
}

static ScrtStatus run_code(ScrtSession *s, const ScrtStep *p)
{
    const char *why = NULL;
    ScrtStatus st = SCRT_OK;
    if (p->kind == SCRT_KERNEL)
        s->entry->fn[p->b](s->arg);
    else
        st = scrt_call((ScrtCallee)p->b, s->pool, s->arg, &why);
    if (st == SCRT_OK && s->call.extent)
        st = SCRT_E_DATA;
    return st == SCRT_OK ? st : fail_code(s, p, st, why);
}

/* Bytes that a kernel moves; none where they are more than there can be. */
static void count_moved(ScrtSession *s, uint32_t kernel)
{
    const ScrtKernelInfo *k = &s->entry->kernel[kernel];
    const int64_t *moved = &s->value[s->entry->moved];
    if (!k->n_word || !eval(s->value, s->entry->word + k->word, k->n_word))
        return;
    s->profile[kernel].weights += (uint64_t)moved[0];
    s->profile[kernel].read += (uint64_t)moved[1];
    s->profile[kernel].written += (uint64_t)moved[2];
}

/* A kernel or a call. */
static ScrtStatus run_step(ScrtSession *s, const ScrtStep *p)
{
    find_places(s, p);
    if (!s->profile)
        return run_code(s, p);
    uint64_t since = scrt_now_ns();
    ScrtStatus st = run_code(s, p);
    s->profile[p->a].ns += scrt_now_ns() - since;
    s->profile[p->a].runs++;
    count_moved(s, p->a);
    return st;
}

static void copy(ScrtSession *s, const ScrtStep *p)
{
    size_t bytes = (size_t)s->value[p->c];
    ScrtProfile *spent = s->profile ? &s->profile[s->entry->n_kernel] : NULL;
    uint64_t since = spent ? scrt_now_ns() : 0;
    if (bytes)
        memcpy(at(s, p->b), at(s, p->a), bytes);
    if (spent) {
        spent->ns += scrt_now_ns() - since;
        spent->runs++;
        spent->read += bytes;
        spent->written += bytes;
    }
}

ScrtStatus scrt_walk(ScrtSession *s, const ScrtStep *first)
{
    const ScrtStep *p = first;
    int64_t *value = s->value;
    ScrtStatus st = SCRT_OK;
    for (; st == SCRT_OK; p++) {
        switch ((ScrtStepKind)p->kind) {
        case SCRT_END:
            return SCRT_OK;
        case SCRT_KERNEL:
        case SCRT_CALL:
            st = run_step(s, p);
            break;
        case SCRT_BIND_EXTENT:
            value[p->a] = s->in_dims[p->b][p->c];
            break;
        case SCRT_BIND_ELEMENT:
            value[p->a] = scrt_load_int((ScrtDtype)p->d, at(s, p->b), p->c);
            break;
        case SCRT_EVAL:
            if (!eval(value, s->entry->word + p->a, p->b))
                st = fail_eval(s, p);
            break;
        case SCRT_GUARD:
            if (!scrt_guard_holds(p->a, value[p->b], value[p->c]))
                st = fail_guard(s, p);
            break;
        case SCRT_ALLOC:
            st = p->a < s->first_segment
                     ? find_output(s, p->a - s->first_out, (uint64_t)value[p->b])
                     : grow_segment(s, p->a - s->first_segment, (uint64_t)value[p->b]);
            break;
        case SCRT_BIND_STATE:
            value[p->a] = scrt_states_extent(s->states, p->b);
            break;
        case SCRT_STATE:
            st = scrt_states_use(s, p->a, &value[p->b], value[p->c]);
            break;
        case SCRT_COPY:
            copy(s, p);
            break;
        case SCRT_JUMP:
            if (value[p->b] <= value[p->c])
                p = first + p->a - 1;
            break;
        case SCRT_GROW:
            st = extend_segment(s, p->a - s->first_segment, (uint64_t)value[p->b]);
            break;
        case SCRT_SWAP:
            swap_segments(s, p->a, p->b);
            break;
        case SCRT_STORE:
            memcpy(at(s, p->b), &value[p->a], sizeof *value);
            break;
        }
    }
    return st;
}
