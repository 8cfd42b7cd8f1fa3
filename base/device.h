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

/* What a function of the module said: ERR_OK, or ERR_IO with its sentence. */
ERR_CHECK
enum err device_said(int bad, const char *why);

#endif
