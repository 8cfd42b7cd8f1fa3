/* store/wipe.h - bytes that must not outlive their file. */
#ifndef STO_WIPE_H
#define STO_WIPE_H

#include <stdbool.h>

/* Write zeros over every byte of the open file and sync it; false with errno.
 * What a file system that copies on write, or a flash translation layer, keeps
 * elsewhere is out of reach (docs/erasure.md). */
bool sto_wipe(int fd);

/* Wipe the files of a folder, and of the folders in it, and remove them all.
 * Best effort: what cannot be opened or removed stays. */
void sto_wipe_folder(const char *dir);

#endif
