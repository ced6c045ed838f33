/* SPDX-License-Identifier: Apache-2.0 */
/* What looks at the bytes of strings. Those of results are the run's. */
#include "runtime/call.h"
#include "runtime/handles.h"

static const char no_memory[] = "no memory for strings";

static ScrtChars chars(const ScrtArgs *a, uint32_t operand, int64_t i)
{
    return scrt_chars(a->call->weights, &a->t[operand], i);
}

/* Room for the n bytes of element i of result 0; NULL without memory. */
static char *make(ScrtArgs *a, int64_t i, size_t n)
{
    char *p;
    return scrt_made_string(a->call, n, (uintptr_t *)a->out->data + i, &p) ? p : NULL;
}

static ScrtStatus fail(const char **ret_why)
{
    *ret_why = no_memory;
    return SCRT_E_MEMORY;
}

/* What operand x has at element i of y, into which it broadcasts. */
static int64_t place(const ScrtTensor *x, const ScrtTensor *y, int64_t i)
{
    int64_t at = 0, stride = 1;
    for (uint32_t d = 1; d <= x->rank; d++) {
        int64_t extent = x->dims[x->rank - d], all = y->dims[y->rank - d];
        at += extent == 1 ? 0 : i % all * stride;
        stride *= extent;
        i /= all;
    }
    return at;
}

ScrtStatus scrt_call_string_equal(ScrtArgs *a, const char **ret_why)
{
    (void)ret_why;
    for (int64_t i = 0, n = scrt_count(a->out); i < n; i++)
        ((uint8_t *)a->out->data)[i] = scrt_chars_equal(chars(a, 0, place(&a->t[0], a->out, i)),
                                                        chars(a, 1, place(&a->t[1], a->out, i)));
    return SCRT_OK;
}

ScrtStatus scrt_call_string_concat(ScrtArgs *a, const char **ret_why)
{
    for (int64_t i = 0, n = scrt_count(a->out); i < n; i++) {
        ScrtChars x = chars(a, 0, place(&a->t[0], a->out, i));
        ScrtChars y = chars(a, 1, place(&a->t[1], a->out, i));
        char *p = make(a, i, x.n + y.n);
        if (!p)
            return fail(ret_why);
        memcpy(p, x.at, x.n);
        memcpy(p + x.n, y.at, y.n);
    }
    return SCRT_OK;
}

/* param: whether to upper case. */
ScrtStatus scrt_call_string_case(ScrtArgs *a, const char **ret_why)
{
    bool upper = a->param[0] != 0;
    for (int64_t i = 0, n = scrt_count(a->out); i < n; i++) {
        ScrtChars x = chars(a, 0, i);
        char *p = make(a, i, scrt_chars_case(x, upper, NULL));
        if (!p)
            return fail(ret_why);
        scrt_chars_case(x, upper, p);
    }
    return SCRT_OK;
}

/* Operand 1: the delimiter; param: how often at most. */
static ScrtSplit split(const ScrtArgs *a, int64_t i)
{
    return scrt_split(chars(a, 0, i), chars(a, 1, 0), a->param[0]);
}

ScrtStatus scrt_call_string_parts(ScrtArgs *a, const char **ret_why)
{
    (void)ret_why;
    for (int64_t i = 0, n = scrt_count(a->out); i < n; i++) {
        ScrtSplit s = split(a, i);
        ScrtChars c;
        int64_t *count = (int64_t *)a->out->data + i;
        for (*count = 0; scrt_split_next(&s, &c);)
            ++*count;
    }
    return SCRT_OK;
}

/* What is beyond the pieces of a string, up to the last extent of the result, is empty. */
ScrtStatus scrt_call_string_split(ScrtArgs *a, const char **ret_why)
{
    int64_t parts = a->out->dims[a->out->rank - 1];
    for (int64_t i = 0, n = scrt_count(&a->t[0]); i < n; i++) {
        ScrtSplit s = split(a, i);
        for (int64_t k = 0; k < parts; k++) {
            ScrtChars c = {"", 0};
            scrt_split_next(&s, &c);
            char *p = make(a, i * parts + k, c.n);
            if (!p)
                return fail(ret_why);
            memcpy(p, c.at, c.n);
        }
    }
    return SCRT_OK;
}

ScrtStatus scrt_call_parse(ScrtArgs *a, const char **ret_why)
{
    ScrtDtype t = (ScrtDtype)a->out->dtype;
    for (int64_t i = 0, n = scrt_count(a->out); i < n; i++)
        if (!scrt_chars_number(chars(a, 0, i), t, a->out->data, (size_t)i)) {
            uintptr_t handle;
            char *why; /* the run's, as the strings that it makes are */
            if (!scrt_made_string(a->call, SCRT_NO_NUMBER_CHARS, &handle, &why))
                return fail(ret_why);
            scrt_no_number(chars(a, 0, i), t, why);
            *ret_why = why;
            return SCRT_E_DATA;
        }
    return SCRT_OK;
}

ScrtStatus scrt_call_format(ScrtArgs *a, const char **ret_why)
{
    for (int64_t i = 0, n = scrt_count(a->out); i < n; i++) {
        char text[SCRT_NUMBER_CHARS];
        size_t length = scrt_number_chars((ScrtDtype)a->t[0].dtype, a->t[0].data, (size_t)i, text);
        char *p = make(a, i, length);
        if (!p)
            return fail(ret_why);
        memcpy(p, text, length);
    }
    return SCRT_OK;
}
