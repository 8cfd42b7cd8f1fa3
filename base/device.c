/* base/device.c - opening the CUDA module. */
#include "base/device.h"

#include <dlfcn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MODULE "recd-cuda.so"
#ifndef RECD_PKGLIBDIR
#define RECD_PKGLIBDIR "/usr/local/lib/recd"
#endif

static const struct krn_cuda *in_use;
static char in_use_word[DEVICE_WORD] = "cpu";
static _Thread_local unsigned paused;

const struct krn_cuda *device_cuda(void)
{
    return paused > 0 ? NULL : in_use;
}

void device_pause(void)
{
    paused++;
}

void device_resume(void)
{
    paused--;
}

void device_word(char word[DEVICE_WORD])
{
    (void)snprintf(word, DEVICE_WORD, "%s", paused > 0 ? "cpu" : in_use_word);
}

/* Beside the program; false when that cannot be told. */
static bool beside(char *path, size_t room)
{
    const ssize_t n = readlink("/proc/self/exe", path, room - sizeof(MODULE));

    if (n <= 0)
        return false;
    path[n] = '\0';
    char *slash = strrchr(path, '/');

    if (slash == NULL)
        return false;
    memcpy(slash + 1, MODULE, sizeof(MODULE));
    return true;
}

static void *open_module(void)
{
    const char *named = getenv("RECD_CUDA_MODULE");
    char path[4096];
    void *m = NULL;

    if (named != NULL && named[0] != '\0')
        return dlopen(named, RTLD_NOW | RTLD_LOCAL);
    if (beside(path, sizeof(path)) && access(path, R_OK) == 0)
        m = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    return m != NULL ? m
                     : dlopen(RECD_PKGLIBDIR "/" MODULE, RTLD_NOW | RTLD_LOCAL);
}

static enum err open_cuda(void)
{
    struct krn_cuda_info info;
    char why[KRN_CUDA_WHY];
    krn_cuda_open_fn open_fn;
    void *m = open_module();

    if (m == NULL)
        return err_set(ERR_NOTFOUND,
                       "--device cuda: the module " MODULE
                       " cannot be opened (%s): build with configure "
                       "--with-cuda, or name it in RECD_CUDA_MODULE",
                       dlerror());
    *(void **)&open_fn = dlsym(m, KRN_CUDA_SYMBOL);
    const struct krn_cuda *table = open_fn != NULL ? open_fn() : NULL;

    if (table == NULL || table->version != KRN_CUDA_VERSION)
        return err_set(ERR_NOTFOUND, "--device cuda: " MODULE
                                     " is of another version of recd");
    if (table->info(&info, why) != 0)
        return err_set(ERR_NOTFOUND,
                       "--device cuda: %s (a driver and an NVIDIA GPU are "
                       "needed; without --device everything runs on the CPU)",
                       why);
    if (sizeof(size_t) != sizeof(uint64_t))
        return err_set(ERR_NOTFOUND, "--device cuda needs a 64-bit program");
    in_use = table; /* stays open to the end */
    (void)snprintf(in_use_word, sizeof(in_use_word), "%.40s (%d.%d), module %d",
                   info.name, info.major, info.minor, table->version);
    return ERR_OK;
}

enum err device_open(const char *word)
{
    if (strcmp(word, "cpu") == 0) {
        in_use = NULL;
        (void)snprintf(in_use_word, sizeof(in_use_word), "cpu");
        return ERR_OK;
    }
    if (strcmp(word, "cuda") != 0)
        return err_set(ERR_ARG, "--device is cpu or cuda, not \"%s\"", word);
    return in_use != NULL ? ERR_OK : open_cuda();
}

enum err device_said(int bad, const char *why)
{
    return bad == 0 ? ERR_OK : err_set(ERR_IO, "GPU: %s", why);
}

enum err device_put(void **dev, const void *from, size_t bytes)
{
    char why[KRN_CUDA_WHY] = "";

    *dev = NULL;
    if (in_use->alloc(dev, bytes, why) != 0) {
        *dev = NULL;
        return err_set(ERR_NOMEM, "GPU: %s", why);
    }
    const enum err e =
        from == NULL ? ERR_OK
                     : device_said(in_use->put(*dev, from, bytes, why), why);

    if (e != ERR_OK) {
        in_use->free(*dev);
        *dev = NULL;
    }
    return e;
}

enum err device_get(void *to, const void *dev, size_t bytes)
{
    char why[KRN_CUDA_WHY] = "";

    return device_said(in_use->get(to, dev, bytes, why), why);
}

void device_drop(void *dev)
{
    if (dev != NULL)
        in_use->free(dev);
}

void *device_take(struct device_room *r, const void *from, size_t bytes)
{
    if (r->e == ERR_OK && r->n == DEVICE_ROOM)
        r->e = err_set(ERR_NOMEM, "GPU: more arrays than a job may have");
    if (r->e == ERR_OK)
        r->e = device_put(&r->dev[r->n], from, bytes);
    return r->e == ERR_OK ? r->dev[r->n++] : NULL;
}

void device_room_drop(struct device_room *r)
{
    while (r->n > 0)
        device_drop(r->dev[--r->n]);
}
