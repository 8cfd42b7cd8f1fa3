/*
 * nn/nn.h - all of nn/.
 *
 *   tape     building, planning, running     params   weights
 *   linear   layers, products                map      activations, dropout
 *   shape    concat, slice, swap, pick       reduce   sums, means, soft maxima
 *   norm     layer norm, unit rows           embed    tables, bags
 *   attend   attention                       gru, lstm, conv
 *   loss     losses                          optim    optimisers, schedules
 *   stop     early stopping                  order    the order of samples
 *   pattern  where sparse weights may be     sparse   packed matrices
 *   prune    training that ends sparse
 *   chex     training that ends narrower
 */
#ifndef NN_NN_H
#define NN_NN_H

#include "nn/attend.h"
#include "nn/chex.h"
#include "nn/conv.h"
#include "nn/embed.h"
#include "nn/gru.h"
#include "nn/linear.h"
#include "nn/loss.h"
#include "nn/lstm.h"
#include "nn/map.h"
#include "nn/norm.h"
#include "nn/optim.h"
#include "nn/order.h"
#include "nn/params.h"
#include "nn/prune.h"
#include "nn/reduce.h"
#include "nn/shape.h"
#include "nn/sparse.h"
#include "nn/stop.h"
#include "nn/tape.h"

#endif
