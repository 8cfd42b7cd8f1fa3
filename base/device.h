/*
 * base/device.h - a GPU, where one is asked for and can be had.
 *
 * recd is not linked to CUDA: the module recd-cuda.so (configure --with-cuda)
 * is opened when `--device cuda` asks for it.  Looked for in
 * $RECD_CUDA_MODULE, beside the program, and in the installed library folder.
 */
#ifndef BASE_DEVICE_H
#define BASE_DEVICE_H

#include <stddef.h>

#include "base/err.h"
#include "kernels/cuda/module.h"

/* Compute on "cpu" or "cuda" from now on.  ERR_ARG: another word; ERR_NOTFOUND:
 * no module, no driver or no GPU, with what to do. */
ERR_CHECK
enum err device_open(const char *word);

/* The module when it is in use, else NULL. */
const struct krn_cuda *device_cuda(void);

/* Bytes on the device, filled from `from` (NULL: as they come).  *dev is NULL
 * after an error, and NULL is harmless to device_drop().  ERR_NOMEM. */
ERR_CHECK
enum err device_put(void **dev, const void *from, size_t bytes);
ERR_CHECK
enum err device_get(void *to, const void *dev, size_t bytes);
void device_drop(void *dev);

/*
 * What a job holds on the device: taken one after the other, dropped at once.
 * After the first error nothing more is taken, and `e` says what it was.
 */
#define DEVICE_ROOM 64
struct device_room {
    void *dev[DEVICE_ROOM];
    size_t n;
    enum err e;
};
/* Bytes filled from `from` (NULL: as they come), or NULL after an error. */
void *device_take(struct device_room *r, const void *from, size_t bytes);
void device_room_drop(struct device_room *r);

/*
 * What trains now: "cpu", or the GPU's name, its compute capability and the
 * module's version.  Models made on equal words have equal bits; what was made
 * on one cannot be mended bit by bit on another.
 */
#define DEVICE_WORD 64
void device_word(char word[DEVICE_WORD]);

/* While more pauses than resumes of this thread were called, device_cuda() is
 * NULL for it: models that have no form for the device train as ever. */
void device_pause(void);
void device_resume(void);

/* What a function of the module said: ERR_OK, or ERR_IO with its sentence. */
ERR_CHECK
enum err device_said(int bad, const char *why);

#endif
