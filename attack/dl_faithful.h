/*
 * attack/dl_faithful.h - DL-MIA as its program does it, defects included.
 */
#ifndef ATK_DL_FAITHFUL_H
#define ATK_DL_FAITHFUL_H

#include "attack/attack.h"

#define ATK_DL_EPOCHS 200 /* published: of encoders and decoder alone */

/*
 * The published order of things: encoders alone, judges alone, then joint
 * training and truth scores in turn; ten times on the way the target is scored,
 * and the scores that do best on the target's labels are the answer.
 * c->epochs (1..ATK_DL_EPOCHS): of the encoders; the turns are shortened alike.
 * Reads target.member, as the program does.  ERR_NOMEM, ERR_NUM, ERR_STOPPED.
 */
ERR_CHECK
enum err atk_dl_faithful(const struct atk_case *c, struct atk_scores *out);

#endif
