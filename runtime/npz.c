/* SPDX-License-Identifier: Apache-2.0 */
/* .npz: tensors by name in a zip archive, and the states of a session in such a file. */
#include "runtime/scrtio_priv.h"

#include <stdio.h>

void scrt_named_free(ScrtNamedList *list)
{
    for (uint32_t i = 0; i < list->n; i++) {
        scrt_free(list->item[i].name);
        scrt_free(list->item[i].tensor.data);
    }
    scrt_free(list->item);
    *list = (ScrtNamedList){0};
}

/* Name and place of an entry in messages: "file.npz: 'x.npy'". */
enum { PLACE = 300 };

static ScrtStatus read_item(const char *what, const ScrtZipEntry *e, ScrtNamed *ret,
                            ScrtIoError *err)
{
    static const char suffix[] = ".npy";
    const size_t cut = sizeof suffix - 1;
    size_t length = e->name_length;
    if (memchr(e->name, '\0', length))
        return scrt_io_fail(err, SCRT_E_FILE, "%.300s: an entry's name holds a zero byte", what);
    if (length >= cut && memcmp(e->name + length - cut, suffix, cut) == 0)
        length -= cut;
    char place[PLACE];
    snprintf(place, sizeof place, "%.180s: '%.*s'", what, length < 100 ? (int)length : 100,
             e->name);
    const unsigned char *data;
    unsigned char *own;
    ScrtStatus s = scrt_zip_extract(what, e, &data, &own, err);
    if (s != SCRT_OK)
        return s;
    s = scrt_npy_parse(place, data, (size_t)e->size, SCRT_DTYPE_NONE, &ret->tensor, err);
    scrt_free(own);
    if (s != SCRT_OK)
        return s;
    ret->name = scrt_alloc(length + 1);
    if (!ret->name) {
        scrt_free(ret->tensor.data);
        return scrt_io_fail(err, SCRT_E_MEMORY, "%.300s: out of memory", what);
    }
    memcpy(ret->name, e->name, length);
    ret->name[length] = '\0';
    return SCRT_OK;
}

static bool appears(const ScrtNamedList *list, const char *name)
{
    for (uint32_t i = 0; i < list->n; i++)
        if (strcmp(list->item[i].name, name) == 0)
            return true;
    return false;
}

static ScrtStatus read_items(const char *what, const ScrtZipEntry *e, uint32_t n,
                             ScrtNamedList *list, ScrtIoError *err)
{
    list->item = scrt_alloc(n * sizeof *list->item);
    if (!list->item)
        return scrt_io_fail(err, SCRT_E_MEMORY, "%.300s: out of memory", what);
    for (uint32_t i = 0; i < n; i++) {
        ScrtNamed item = {0};
        ScrtStatus s = read_item(what, &e[i], &item, err);
        if (s != SCRT_OK)
            return s;
        bool twice = appears(list, item.name);
        list->item[list->n++] = item;
        if (twice)
            return scrt_io_fail(err, SCRT_E_FILE, "%.300s: has two entries named '%.100s'", what,
                                item.name);
    }
    return SCRT_OK;
}

ScrtStatus scrt_npz_read(const char *path, ScrtNamedList *ret, ScrtIoError *err)
{
    ScrtFile file;
    const char *what = strcmp(path, "-") ? path : "standard input";
    ScrtStatus s = scrt_file_read(path, &file, err);
    if (s != SCRT_OK)
        return s;
    ScrtZipEntry *entry = NULL;
    uint32_t count = 0;
    ScrtNamedList list = {0};
    s = scrt_zip_list(what, file.data, file.n, &entry, &count, err);
    if (s == SCRT_OK)
        s = read_items(what, entry, count, &list, err);
    scrt_free(entry);
    scrt_file_close(&file);
    if (s == SCRT_OK)
        *ret = list;
    else
        scrt_named_free(&list);
    return s;
}

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

ScrtStatus scrt_state_save(const ScrtSession *s, const char *path, ScrtIoError *err)
{
    const ScrtModel *m = scrt_model(s);
    ScrtNamed *item = scrt_alloc(m->n_state * sizeof *item);
    if (!item)
        return scrt_io_fail(err, SCRT_E_MEMORY, "%.300s: out of memory", path);
    for (uint32_t i = 0; i < m->n_state; i++) {
        item[i].name = (char *)m->state[i].name;
        scrt_state_get(s, i, &item[i].tensor);
    }
    ScrtStatus st = scrt_npz_write(path, item, m->n_state, err);
    scrt_free(item);
    return st;
}

static ScrtNamed *find(const ScrtNamedList *list, const char *name)
{
    for (uint32_t i = 0; i < list->n; i++)
        if (strcmp(list->item[i].name, name) == 0)
            return &list->item[i];
    return NULL;
}

static bool same_shape(const ScrtTensor *a, const ScrtTensor *b)
{
    return a->rank == b->rank && memcmp(a->dims, b->dims, a->rank * sizeof a->dims[0]) == 0;
}

/* Checks that the file has every state, fitting, and nothing else. */
static ScrtStatus check_states(const ScrtSession *s, const char *path, const ScrtNamedList *list,
                               ScrtIoError *err)
{
    const ScrtModel *m = scrt_model(s);
    for (uint32_t i = 0; i < m->n_state; i++) {
        const char *name = m->state[i].name;
        ScrtNamed *item = find(list, name);
        ScrtTensor own;
        scrt_state_get(s, i, &own);
        if (!item)
            return scrt_io_fail(err, SCRT_E_STATE, "%.200s: has no state '%.100s'", path, name);
        if (!scrt_tensor_adopt(&item->tensor, own.dtype))
            return scrt_io_fail(err, SCRT_E_STATE, "%.200s: state '%.100s' is %s, not %s", path,
                                name, scrt_dtype_name((ScrtDtype)item->tensor.dtype),
                                scrt_dtype_name((ScrtDtype)own.dtype));
        if (!same_shape(&own, &item->tensor))
            return scrt_io_fail(err, SCRT_E_STATE, "%.200s: state '%.100s' has another shape", path,
                                name);
    }
    for (uint32_t i = 0; i < list->n; i++) {
        bool known = false;
        for (uint32_t k = 0; k < m->n_state && !known; k++)
            known = strcmp(m->state[k].name, list->item[i].name) == 0;
        if (!known)
            return scrt_io_fail(err, SCRT_E_STATE, "%.200s: the model has no state '%.100s'", path,
                                list->item[i].name);
    }
    return SCRT_OK;
}

ScrtStatus scrt_state_load(ScrtSession *s, const char *path, ScrtIoError *err)
{
    const ScrtModel *m = scrt_model(s);
    ScrtNamedList list;
    ScrtStatus st = scrt_npz_read(path, &list, err);
    if (st != SCRT_OK)
        return st;
    st = check_states(s, path, &list, err);
    for (uint32_t i = 0; i < m->n_state && st == SCRT_OK; i++)
        st = scrt_state_set(s, i, &find(&list, m->state[i].name)->tensor); /* was checked: fits */
    scrt_named_free(&list);
    return st;
}
