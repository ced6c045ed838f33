/* SPDX-License-Identifier: Apache-2.0 */
/* Memory of strings, and UTF-8. */
#include "runtime/handles.h"

/* --- UTF-8 ----------------------------------------------------------------------------------- */

int32_t scrt_utf8_read(const char **at, const char *end)
{
    static const int32_t least[] = {0, 0x80, 0x800, 0x10000}; /* by bytes that follow */
    unsigned char first = (unsigned char)*(*at)++;
    if (first < 0x80)
        return first;
    int follow = first >= 0xf8   ? -1
                 : first >= 0xf0 ? 3
                 : first >= 0xe0 ? 2
                 : first >= 0xc0 ? 1
                                 : -1;
    if (follow < 0 || end - *at < follow)
        return -1;
    int32_t c = first & (0x3f >> follow);
    for (int i = 0; i < follow; i++) {
        unsigned char next = (unsigned char)(*at)[i];
        if ((next & 0xc0) != 0x80)
            return -1;
        c = c << 6 | (next & 0x3f);
    }
    if (c < least[follow] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
        return -1;
    *at += follow;
    return c;
}

size_t scrt_utf8_write(int32_t c, char *ret)
{
    size_t follow = c < 0x80 ? 0 : c < 0x800 ? 1 : c < 0x10000 ? 2 : 3;
    static const unsigned char mark[] = {0, 0xc0, 0xe0, 0xf0};
    for (size_t i = follow; i > 0; i--, c >>= 6)
        ret[i] = (char)(0x80 | (c & 0x3f));
    ret[0] = (char)(mark[follow] | c);
    return follow + 1;
}

/* --- Tensors that own their strings ----------------------------------------------------------- */

ScrtStatus scrt_strings_alloc(ScrtTensor *t, size_t room, ScrtLaying *ret)
{
    size_t handles, bytes;
    if (!scrt_tensor_bytes(t, &handles) || __builtin_add_overflow(handles, room, &bytes))
        return SCRT_E_SHAPE;
    unsigned char *p = scrt_alloc(bytes);
    if (!p)
        return SCRT_E_MEMORY;
    memset(p, 0, handles);
    t->data = p;
    *ret = (ScrtLaying){t, p + handles};
    return SCRT_OK;
}

char *scrt_strings_lay(ScrtLaying *l, int64_t i, size_t n)
{
    ScrtString *s = (ScrtString *)(void *)l->at;
    if (!n)
        return (char *)l->at;
    ((ScrtString **)l->t->data)[i] = s;
    s->n = n;
    l->at += scrt_string_room(n);
    return s->bytes;
}

ScrtStatus scrt_strings_own(const unsigned char *weights, ScrtTensor *t)
{
    const ScrtTensor from = *t;
    ScrtLaying l;
    size_t room = 0;
    int64_t n = scrt_count(t);
    for (int64_t i = 0; i < n; i++)
        if (__builtin_add_overflow(room, scrt_string_room(scrt_chars(weights, &from, i).n), &room))
            return SCRT_E_MEMORY;
    ScrtStatus s = scrt_strings_alloc(t, room, &l);
    for (int64_t i = 0; i < n && s == SCRT_OK; i++) {
        ScrtChars c = scrt_chars(weights, &from, i);
        memcpy(scrt_strings_lay(&l, i, c.n), c.at, c.n);
    }
    return s;
}

/* --- Strings that a run makes ----------------------------------------------------------------- */

struct ScrtMade { /* one of a chain; strings lie behind it */
    struct ScrtMade *before;
    size_t used, room; /* bytes */
};
enum { ROOM = 64 << 10 };

static struct ScrtMade *more(struct ScrtMade *before, size_t room)
{
    size_t bytes;
    if (__builtin_add_overflow(sizeof(struct ScrtMade), room, &bytes) || bytes > PTRDIFF_MAX)
        return NULL;
    struct ScrtMade *m = scrt_alloc(bytes);
    if (m)
        *m = (struct ScrtMade){before, 0, room};
    return m;
}

bool scrt_made_string(ScrtCall *call, size_t n, uintptr_t *ret_handle, char **ret)
{
    size_t room = scrt_string_room(n);
    struct ScrtMade *m = call->made;
    *ret_handle = 0;
    *ret = (char *)ret_handle; /* of no bytes */
    if (!n)
        return true;
    if (n > PTRDIFF_MAX / 2)
        return false;
    if (!m || m->room - m->used < room) {
        m = more(m, room > ROOM ? room : ROOM);
        if (!m)
            return false;
        call->made = m;
    }
    ScrtString *s = (ScrtString *)(void *)((unsigned char *)(m + 1) + m->used);
    m->used += room;
    s->n = n;
    *ret_handle = (uintptr_t)s;
    *ret = s->bytes;
    return true;
}

void scrt_made_free(struct ScrtMade **made)
{
    while (*made) {
        struct ScrtMade *before = (*made)->before;
        scrt_free(*made);
        *made = before;
    }
}

size_t scrt_made_bytes(const struct ScrtMade *made)
{
    size_t n = 0;
    for (; made; made = made->before)
        n += sizeof *made + made->room;
    return n;
}
