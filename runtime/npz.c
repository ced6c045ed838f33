/* SPDX-License-Identifier: Apache-2.0 */
/* .npz: tensors by name in a zip archive, and the states of a session in such a file. */
#include "runtime/scrtio_priv.h"

#include <stdio.h>

/* --- Reading ---------------------------------------------------------------------------------- */

/* Name and place of an entry in messages: "file.npz: 'x.npy'". */
enum { PLACE = 300 };

/* Bytes of an entry that are unpacked for its header: NumPy's own are of 128. */
enum { PEEK = 8192 };

static bool is_npz(const ScrtFile *f)
{
    return f->n >= 4 && (memcmp(f->data, "PK\3\4", 4) == 0 || memcmp(f->data, "PK\5\6", 4) == 0);
}

/* The length of an entry's name without NumPy's suffix. */
static size_t array_name(const ScrtZipEntry *e)
{
    static const char suffix[] = ".npy";
    const size_t cut = sizeof suffix - 1;
    size_t n = e->name_length;
    return n >= cut && memcmp(e->name + n - cut, suffix, cut) == 0 ? n - cut : n;
}

static void name_place(char place[PLACE], const ScrtTensorFile *f, const ScrtZipEntry *e)
{
    size_t length = array_name(e);
    snprintf(place, PLACE, "%.180s: '%.*s'", f->what, length < 100 ? (int)length : 100, e->name);
}

static ScrtStatus read_head(const ScrtTensorFile *f, const ScrtZipEntry *e, ScrtTensor *ret,
                            ScrtIoError *err)
{
    unsigned char buf[PEEK];
    char place[PLACE];
    size_t n;
    ScrtStatus s = scrt_zip_peek(f->what, e, buf, sizeof buf, &n, err);
    if (s != SCRT_OK)
        return s;
    name_place(place, f, e);
    return scrt_npy_head(place, buf, n, e->size, ret, err);
}

/* An entry that is no array is no error before somebody wants it: archives hold all sorts. */
static ScrtStatus read_heads(ScrtTensorFile *f, ScrtIoError *err)
{
    ScrtZipEntry *e = NULL;
    uint32_t n = 0;
    ScrtStatus s = scrt_zip_list(f->what, f->file.data, f->file.n, &e, &n, err);
    f->own = e;
    if (s == SCRT_OK)
        s = scrt_tensors_room(f, n, err);
    for (uint32_t i = 0; i < n && s == SCRT_OK; i++) {
        ScrtTensor head;
        s = read_head(f, &e[i], &head, err);
        if (s == SCRT_E_MEMORY)
            break;
        if (s != SCRT_OK)
            head = (ScrtTensor){.dtype = SCRT_DTYPE_NONE};
        s = scrt_tensors_add(f, e[i].name, array_name(&e[i]), &head, err);
    }
    return s == SCRT_OK ? scrt_tensors_distinct(f, err) : s;
}

static ScrtStatus read_tensor(const ScrtTensorFile *f, uint32_t i, ScrtTensor *ret,
                              ScrtIoError *err)
{
    const ScrtZipEntry *e = (const ScrtZipEntry *)f->own + i;
    ScrtTensor head;
    const unsigned char *data;
    unsigned char *own;
    char place[PLACE];
    ScrtStatus s = read_head(f, e, &head, err);
    if (s == SCRT_OK)
        s = scrt_zip_extract(f->what, e, &data, &own, err);
    if (s != SCRT_OK)
        return s;
    name_place(place, f, e);
    s = scrt_npy_parse(place, data, (size_t)e->size, ret, err);
    scrt_free(own);
    return s;
}

const ScrtFileFormat scrt_format_npz = {
    .suffix = ".npz", .is = is_npz, .heads = read_heads, .read = read_tensor};

/* --- Writing ---------------------------------------------------------------------------------- */

static ScrtStatus write_item(ScrtZipOut *z, const char *path, const ScrtNamed *item,
                             ScrtIoError *err)
{
    char header[SCRT_NPY_HEADER];
    const void *data;
    void *spread;
    size_t n, bytes, length = strlen(item->name);
    char *name = scrt_alloc(length + sizeof ".npy");
    if (!name)
        return scrt_io_fail(err, SCRT_E_MEMORY, "%.300s: out of memory", path);
    memcpy(name, item->name, length);
    memcpy(name + length, ".npy", sizeof ".npy");
    ScrtStatus s = scrt_npy_header(&item->tensor, header, &n, &data, &bytes, &spread);
    if (s == SCRT_OK) {
        s = scrt_zip_add(z, name, header, n, data, bytes, err);
        scrt_free(spread);
    } else {
        scrt_io_fail(err, s, "%.300s: '%.100s': %s", path, item->name, scrt_status_text(s));
    }
    scrt_free(name);
    return s;
}

ScrtStatus scrt_npz_write(const char *path, const ScrtNamed *item, uint32_t n, ScrtIoError *err)
{
    ScrtZipOut *z;
    if (err)
        err->text[0] = '\0';
    ScrtStatus s = scrt_zip_begin(path, &z, err);
    if (s != SCRT_OK)
        return s;
    for (uint32_t i = 0; i < n && s == SCRT_OK; i++)
        s = write_item(z, path, &item[i], err);
    ScrtStatus end = scrt_zip_end(z, s == SCRT_OK, s == SCRT_OK ? err : NULL);
    return s == SCRT_OK ? end : s;
}

/* --- States --- */

ScrtStatus scrt_state_save(ScrtSession *s, const char *path, ScrtIoError *err)
{
    const ScrtModel *m = scrt_model(s);
    ScrtNamed *item = scrt_alloc(m->n_state * sizeof *item);
    if (!item)
        return scrt_io_fail(err, SCRT_E_MEMORY, "%.300s: out of memory", path);
    ScrtStatus st = SCRT_OK;
    for (uint32_t i = 0; i < m->n_state && st == SCRT_OK; i++) {
        item[i].name = (char *)m->state[i].name;
        st = scrt_state_get(s, i, &item[i].tensor);
    }
    st = st == SCRT_OK ? scrt_npz_write(path, item, m->n_state, err)
                       : scrt_io_fail(err, st, "%.200s: %.200s", path, scrt_error(s));
    scrt_free(item);
    return st;
}

/* State i by its head. */
static ScrtStatus check_state(ScrtSession *s, uint32_t i, const ScrtTensorFile *f, ScrtIoError *err)
{
    const char *name = scrt_model(s)->state[i].name;
    uint32_t own = scrt_model(s)->state[i].dtype;
    int64_t k = scrt_tensors_find(f, name);
    if (k < 0)
        return scrt_io_fail(err, SCRT_E_STATE, "%.200s: has no state '%.100s'", f->what, name);
    ScrtTensor head = f->item[k].tensor;
    if (head.dtype == SCRT_DTYPE_NONE) /* why, reading it says */
        return SCRT_OK;
    if (!scrt_dtype_adopts(head.dtype, own))
        return scrt_io_fail(err, SCRT_E_STATE, "%.200s: state '%.100s' is %s, not %s", f->what,
                            name, scrt_dtype_name((ScrtDtype)head.dtype),
                            scrt_dtype_name((ScrtDtype)own));
    head.dtype = own;
    ScrtStatus st = scrt_state_check(s, i, &head);
    return st == SCRT_OK ? st : scrt_io_fail(err, st, "%.200s: %.200s", f->what, scrt_error(s));
}

static ScrtStatus check_unknown(const ScrtModel *m, const ScrtTensorFile *f, ScrtIoError *err)
{
    for (uint32_t i = 0; i < f->n; i++) {
        bool known = false;
        for (uint32_t k = 0; k < m->n_state && !known; k++)
            known = strcmp(m->state[k].name, f->item[i].name) == 0;
        if (!known)
            return scrt_io_fail(err, SCRT_E_STATE, "%.200s: the model has no state '%.100s'",
                                f->what, f->item[i].name);
    }
    return SCRT_OK;
}

/* The states' values, [n_state], to be freed even where it fails. Heads are compared first: an
 * archive may unpack to a thousand times its size. */
static ScrtStatus read_states(ScrtSession *s, const ScrtTensorFile *f, ScrtTensor *ret,
                              ScrtIoError *err)
{
    const ScrtModel *m = scrt_model(s);
    ScrtStatus st = SCRT_OK;
    for (uint32_t i = 0; i < m->n_state && st == SCRT_OK; i++)
        st = check_state(s, i, f, err);
    if (st == SCRT_OK)
        st = check_unknown(m, f, err);
    for (uint32_t i = 0; i < m->n_state && st == SCRT_OK; i++)
        st = scrt_tensors_read(f, (uint32_t)scrt_tensors_find(f, m->state[i].name),
                               m->state[i].dtype, &ret[i], err);
    return st;
}

ScrtStatus scrt_state_load(ScrtSession *s, const char *path, ScrtIoError *err)
{
    const ScrtModel *m = scrt_model(s);
    ScrtTensorFile *f;
    ScrtStatus st = scrt_tensors_open_as(path, &scrt_format_npz, &f, err);
    if (st != SCRT_OK)
        return st;
    ScrtTensor *value = scrt_alloc(m->n_state * sizeof *value);
    if (value)
        memset(value, 0, m->n_state * sizeof *value);
    st = value ? read_states(s, f, value, err)
               : scrt_io_fail(err, SCRT_E_MEMORY, "%.200s: out of memory", path);
    scrt_tensors_close(f);
    for (uint32_t i = 0; i < m->n_state && st == SCRT_OK; i++)
        st = scrt_state_set(s, i, &value[i]); /* was checked */
    for (uint32_t i = 0; value && i < m->n_state; i++)
        scrt_free(value[i].data);
    scrt_free(value);
    return st;
}
