/* One step of training a network whose pruned weights cost nothing, on one thread.
 *
 * docs/sparse-kernels.md explains the design; the words here are its words.
 *
 * Layout. Sixteen images lie side by side in the innermost dimension, the lanes:
 *
 *     planes   [group of 16 images][channel][pixel, and PLANE_PAD more][lane]
 *     features [feature][group of 16 images][lane]
 *
 * so that every load is aligned whatever the size of an image. All buffers are aligned to 64 bytes.
 * Lanes beyond the last image are dead: the first layer reads zeros there, sums leave them out
 * or the gradient is zeroed there.
 *
 * This file includes itself once for every instruction set; functions that are compiled so end
 * in its name. ctypes loads it: nothing here knows of Python or torch.
 */
#ifndef INSTRUCTION_SET

#include <math.h>
#include <stdint.h>
#include <string.h>

enum {
    LANES = 16,
    PLANE_PAD = 4, /* keeps planes of a power of two apart in the sets of the caches */
    AHEAD = 32,    /* weights between the one that moves and the one whose addends are fetched */
};

/* A 3x3 convolution with a border of one zero; a 1x1 convolution is its centre. */
struct shape {
    int outputs, inputs;       /* channels */
    int height, width, stride; /* of the input, in pixels; a stride of 1 or 2 */
    int strip;                 /* rows of the output (backward: its gradient) computed at a time */
};

/* Kept weights in the order in which a kernel meets them. */
struct list {
    const int *start;    /* first entry of every cell, and the end of the last one */
    const int *offset;   /* what an entry multiplies, in floats from the tile's place */
    const float *weight; /* in order of the entries */
};

/* What a layer reads: max(0, scale raw + shift + skip_scale skip + skip_shift), a factor a
 * channel. Without `scale` it is `raw` itself; without `skip_scale` the skip is added as it is. */
struct activation {
    const float *raw;
    const float *scale, *shift;
    const float *skip;
    const float *skip_scale, *skip_shift;
    float *kept;                     /* planes that keep the result; NULL: computed again */
    int channels;                    /* of the activation, and of `kept` */
    int raw_channels, skip_channels; /* of the planes that `raw` and `skip` are part of */
};

/* Gradient with respect to the raw output of a convolution, through its batch norms:
 * by_gradient g + by_raw raw + constant, a factor a channel. */
struct outgoing {
    const float *branch, *shortcut; /* g of the first `branch_channels` channels and of the rest */
    const float *raw;
    const float *by_gradient, *by_raw, *constant;
    int branch_channels;
};

/* Batch norm of some channels of a convolution; weights and statistics in torch's own memory,
 * velocities (NULL: none) beside the weights. */
struct norm {
    float *weight, *bias, *conv_bias; /* conv_bias: of the convolution before it; NULL: none */
    float *weight_velocity, *bias_velocity, *conv_bias_velocity;
    float *running_mean, *running_var;
    int64_t *batches;                       /* seen so far */
    float *scale, *shift;                   /* raw to normalised */
    double *mean, *inverse;                 /* of raw: mean, 1 / sqrt(variance + eps) */
    float *by_gradient, *by_raw, *constant; /* see `outgoing` */
    double eps, momentum;
    int channels;
};

/* Stochastic gradient descent as torch does it: velocity = momentum velocity + gradient +
 * decay weight, weight -= rate velocity. */
struct rule {
    float rate, momentum, decay;
};

static inline int least(int a, int b) { return a < b ? a : b; }

static inline int groups_of(int images) { return (images + LANES - 1) / LANES; }

/* Lanes of a group that hold an image. */
static inline int live_lanes(int images, int group) { return least(LANES, images - group * LANES); }

/* Floats between two channels. */
static inline long plane_size(int pixels) { return (long)(pixels + PLANE_PAD) * LANES; }

/* First float of a channel. */
static inline long plane_at(int channels, int pixels, int group, int channel)
{
    return ((long)group * channels + channel) * plane_size(pixels);
}

/* Move one weight; without velocities the step is the gradient's own. */
static inline void descend(long i, float *weights, float *velocities, float gradient,
                              const struct rule *rule)
{
    float step = gradient + rule->decay * weights[i];
    if (velocities) step = velocities[i] = rule->momentum * velocities[i] + step;
    weights[i] -= rule->rate * step;
}

#if defined(__x86_64__)
#define INSTRUCTION_SET avx512
#define TARGET __attribute__((target("avx512f,avx512dq,avx512vl,avx512bw,fma")))
#define WIDTH 16          /* floats a vector */
#define PAIRS 1           /* output channels are computed two at a time */
#define FORWARD_ROWS 2    /* pixels that are computed at a time */
#define FORWARD_COLUMNS 4 /* 4, 2 or 1 */
#define BACKWARD_ROWS 2
#define BACKWARD_COLUMNS 4
#define BACKWARD_WIDE 8 /* columns of a tile of one row, where a row has as many; 0: none */
#include "kernels.c"
#define INSTRUCTION_SET avx2
#define TARGET __attribute__((target("avx2,fma")))
#define WIDTH 8
#define PAIRS 0
#define FORWARD_ROWS 1
#define FORWARD_COLUMNS 4
#define BACKWARD_ROWS 1
#define BACKWARD_COLUMNS 2
#define BACKWARD_WIDE 0
#include "kernels.c"
#endif
#define INSTRUCTION_SET plain
#define TARGET
#define WIDTH 4
#define PAIRS 0
#define FORWARD_ROWS 1
#define FORWARD_COLUMNS 2
#define BACKWARD_ROWS 1
#define BACKWARD_COLUMNS 1
#define BACKWARD_WIDE 0
#include "kernels.c"

/* What this library was compiled from. */
const char *source_digest(void) { return SOURCE_DIGEST; }

/* The widest instruction set of this processor: 0 plain, 1 avx2, 2 avx512; each has those below. */
int widest_set(void)
{
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma")) return 0;
    return 1 + (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
                __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl"));
#else
    return 0;
#endif
}

/* What Python mirrors: sizes of the structures in their order in this file, LANES, PLANE_PAD. */
void mirrored(int *sizes)
{
    sizes[0] = sizeof(struct shape);
    sizes[1] = sizeof(struct list);
    sizes[2] = sizeof(struct activation);
    sizes[3] = sizeof(struct outgoing);
    sizes[4] = sizeof(struct norm);
    sizes[5] = sizeof(struct rule);
    sizes[6] = LANES;
    sizes[7] = PLANE_PAD;
}

/* Lay images out as planes, or with `features` as features, channels outermost. Strides of the
 * images are in floats. */
void lay_out(int images, int channels, int height, int width, const float *from,
             long image_stride, long channel_stride, long row_stride, long column_stride,
             int features, float *to)
{
    const int groups = groups_of(images);
    const long pixel_size = features ? (long)groups * LANES : LANES;
    for (int group = 0; group < groups; group++)
        for (int c = 0; c < channels; c++) {
            const int live = live_lanes(images, group);
            const float *image = from + (long)group * LANES * image_stride + c * channel_stride;
            float *pixel = to + (features ? (long)c * height * width * pixel_size + group * LANES
                                          : plane_at(channels, height * width, group, c));
            for (int r = 0; r < height; r++)
                for (int x = 0; x < width; x++, pixel += pixel_size) {
                    const float *value = image + r * row_stride + x * column_stride;
                    for (int lane = 0; lane < LANES; lane++)
                        pixel[lane] = lane < live ? value[lane * image_stride] : 0;
                }
        }
}

/* Prepare a batch norm over `count` values a channel from what conv_forward left: scale and shift
 * for the layers behind, running statistics. A bias before it changes the running mean alone, so it
 * is never added. */
void norm_forward(const struct norm *norm, double count, const double *sums, const float *pivots)
{
    for (int k = 0; k < norm->channels; k++) {
        const double beyond = sums[2 * k] / count, mean = pivots[k] + beyond;
        const double variance = fmax(sums[2 * k + 1] / count - beyond * beyond, 0);
        const double inverse = 1 / sqrt(variance + norm->eps);
        const double bias = norm->conv_bias ? norm->conv_bias[k] : 0;
        norm->mean[k] = mean;
        norm->inverse[k] = inverse;
        norm->scale[k] = norm->weight[k] * inverse;
        norm->shift[k] = norm->bias[k] - mean * norm->weight[k] * inverse;
        norm->running_mean[k] += norm->momentum * (mean + bias - norm->running_mean[k]);
        norm->running_var[k] +=
            norm->momentum * (variance * count / (count - 1) - norm->running_var[k]);
    }
    ++*norm->batches;
}

/* Differentiate a batch norm from `sums` of the gradient g of its output and of g raw: the factors
 * of the gradient of raw; its weights are moved. The gradient of a bias before it is zero. */
void norm_backward(const struct norm *norm, double count, const double *sums,
                   const struct rule *rule)
{
    for (int k = 0; k < norm->channels; k++) {
        const double mean = norm->mean[k], inverse = norm->inverse[k];
        const double of_bias = sums[2 * k];
        const double of_weight = (sums[2 * k + 1] - mean * of_bias) * inverse;
        const double slope = norm->weight[k] * inverse;
        norm->by_gradient[k] = slope;
        norm->by_raw[k] = -slope * inverse * of_weight / count;
        norm->constant[k] = slope * (mean * inverse * of_weight - of_bias) / count;
        descend(k, norm->weight, norm->weight_velocity, of_weight, rule);
        descend(k, norm->bias, norm->bias_velocity, of_bias, rule);
        if (norm->conv_bias) descend(k, norm->conv_bias, norm->conv_bias_velocity, 0, rule);
    }
}

/* Sums of a gradient and of its product with raw, a pair a channel: for a shortcut, whose gradient
 * comes from no convolution. */
void gradient_sums(int images, int channels, int pixels, const float *gradient, const float *raw,
                   int raw_channels, double *sums)
{
    memset(sums, 0, 2 * channels * sizeof(double));
    for (int group = 0; group < groups_of(images); group++)
        for (int c = 0; c < channels; c++) {
            const float *g = gradient + plane_at(channels, pixels, group, c);
            const float *y = raw + plane_at(raw_channels, pixels, group, c);
            float sum[LANES] = {0}, product[LANES] = {0};
            for (long i = 0; i < (long)pixels * LANES; i += LANES)
                for (int lane = 0; lane < LANES; lane++) {
                    sum[lane] += g[i + lane];
                    product[lane] += g[i + lane] * y[i + lane];
                }
            for (int lane = 0; lane < LANES; lane++) {
                sums[2 * c] += sum[lane];
                sums[2 * c + 1] += product[lane];
            }
        }
}

/* List the kept weights of a 3x3 convolution as `conv_forward` meets them: three cells for a pair of
 * output channels, see `forward_tile`; unless `paired` no weights share an entry. `place[w]` becomes
 * where kept weight w of the mask, [output][input][9], stands among the list's weights. */
void list_forward(const struct shape *shape, int paired, const uint8_t *mask, int *start,
                  int *offset, int *place)
{
    const int inputs = shape->inputs, wide = shape->width + 2;
    const int deep = shape->stride * shape->strip + 3 - shape->stride;
    int entries = 0;
    for (int k = 0; k < shape->outputs; k += 2)
        for (int cell = 0; cell < 3; cell++) {
            long one = (long)k * inputs * 9, two = one + inputs * 9L;
            *start++ = entries;
            for (int c = 0; c < inputs; c++)
                for (int tap = 0; tap < 9; tap++, one++, two++) {
                    const int first = mask[one], second = k + 1 < shape->outputs && mask[two];
                    const int shared = paired && first && second;
                    if (cell == 0 ? !shared : shared || !(cell == 1 ? first : second)) continue;
                    if (cell != 2) place[one] = 2 * entries;
                    if (cell != 1) place[two] = 2 * entries + (cell == 0);
                    offset[entries++] = ((c * deep + tap / 3) * wide + tap % 3) * LANES;
                }
        }
    *start = entries;
}

/* List them as `conv_backward` meets them: a cell for an input channel and, with a stride of 2, for
 * each of the four positions of its pixels, see `backward_tile`. */
void list_backward(const struct shape *shape, const uint8_t *mask, int *start, int *offset,
                   int *place)
{
    /* By the row (column) of the weight: which rows of the input have it, and the row of the tile's
     * outputs that it links them to. */
    static const int phases[2][3] = {{0, 0, 0}, {1, 0, 1}}, shifts[2][3] = {{2, 1, 0}, {2, 1, 1}};
    const int stride = shape->stride, wide = (shape->width + stride - 1) / stride + 2;
    const int *phase = phases[stride - 1], *shift = shifts[stride - 1];
    int entries = 0;
    for (int c = 0; c < shape->inputs; c++)
        for (int cell = 0; cell < stride * stride; cell++) {
            *start++ = entries;
            for (int k = 0; k < shape->outputs; k++)
                for (int tap = 8; tap >= 0; tap--) { /* ascending shifts */
                    const int down = tap / 3, right = tap % 3;
                    const long w = ((long)k * shape->inputs + c) * 9 + tap;
                    if (!mask[w] || phase[down] * stride + phase[right] != cell) continue;
                    place[w] = entries;
                    offset[entries++] =
                        ((k * (shape->strip + 2) + shift[down]) * wide + shift[right]) * LANES;
                }
        }
    *start = entries;
}

/* List the kept weights of a tensor in the order in which torch holds them, channels last: where
 * each lies there by the tensor's `strides`, and where it stands in the lists of its layer. `mask`,
 * `forward_place` and `backward_place` are [output][input][side][side]; the tensor lacks a `border`
 * of that, as a 1x1 convolution does. */
void list_tensor(int outputs, int inputs, int side, int border, const int *strides,
                 const uint8_t *mask, const int *forward_place, const int *backward_place,
                 int *index, int *forward, int *backward)
{
    for (int k = 0; k < outputs; k++)
        for (int tap = 0; tap < side * side; tap++) {
            const int down = tap / side - border, right = tap % side - border;
            const int first = k * strides[0] + down * strides[2] + right * strides[3];
            for (int c = 0; c < inputs; c++) {
                const long w = ((long)k * inputs + c) * side * side + tap;
                if (!mask[w]) continue;
                *index++ = first + c * strides[1];
                *forward++ = forward_place[w];
                *backward++ = backward_place[w];
            }
        }
}

/* Copy the kept weights of a tensor into the lists that kernels read: weight `index[i]` is entry
 * `forward[i]` of one and `backward[i]` of the other. */
void load_kept(long count, const int *index, const int *forward, const int *backward,
               const float *weight, float *forward_list, float *backward_list)
{
    for (long i = 0; i < count; i++)
        forward_list[forward[i]] = backward_list[backward[i]] = weight[index[i]];
}

/* Move the kept weights of a tensor; `gradient` holds LANES addends of each, in backward order. */
void descend_kept(long count, const int *index, const int *backward, const float *gradient,
                  float *weight, float *velocity, const struct rule *rule)
{
    for (long i = 0; i < count; i++) {
        const float *lane = gradient + (long)LANES * backward[i];
        if (i + AHEAD < count) __builtin_prefetch(gradient + (long)LANES * backward[i + AHEAD]);
        float sum[4];
        for (int j = 0; j < 4; j++) sum[j] = (lane[j] + lane[j + 4]) + (lane[j + 8] + lane[j + 12]);
        descend(index[i], weight, velocity, (sum[0] + sum[1]) + (sum[2] + sum[3]), rule);
    }
}

/* Move the bias of a linear layer, whose gradient is that of its outputs, summed over images. */
void descend_bias(int images, int features, const float *gradient, float *bias, float *velocity,
                  const struct rule *rule)
{
    const long row = (long)groups_of(images) * LANES;
    for (int k = 0; k < features; k++) {
        double sum = 0;
        for (int image = 0; image < images; image++) sum += gradient[k * row + image];
        descend(k, bias, velocity, sum, rule);
    }
}

/* Cross entropy of logits (features): adds up the losses (nats), writes the gradient of their mean
 * and returns how many labels have the largest logit; -1 where a label is no class. Dead lanes get
 * no gradient. */
int cross_entropy(int images, int classes, const float *logits, const int64_t *labels,
                  float *gradient, double *loss)
{
    const long row = (long)groups_of(images) * LANES;
    int correct = 0;
    memset(gradient, 0, classes * row * sizeof(float));
    *loss = 0;
    for (int image = 0; image < images; image++) {
        const float *logit = logits + image;
        if (labels[image] < 0 || labels[image] >= classes) return -1;
        int best = 0;
        double total = 0;
        for (int k = 1; k < classes; k++)
            if (logit[k * row] > logit[best * row]) best = k;
        const double highest = logit[best * row];
        for (int k = 0; k < classes; k++) total += exp(logit[k * row] - highest);
        for (int k = 0; k < classes; k++) {
            const double share = exp(logit[k * row] - highest) / total;
            gradient[k * row + image] = (share - (k == labels[image])) / images;
        }
        *loss += log(total) + highest - logit[labels[image] * row];
        correct += best == labels[image];
    }
    return correct;
}

#else /* one instruction set, from here to the end */

#define JOINED_(name, set) name##_##set
#define JOINED(name, set) JOINED_(name, set)
#define NAME(name) JOINED(name, INSTRUCTION_SET)
#define INLINE TARGET static inline __attribute__((always_inline))
#define UNROLL _Pragma("GCC unroll 32")
#define Vec NAME(Vec)
#define Bits NAME(Bits)
#define PARTS (LANES / WIDTH) /* vectors a pixel */

typedef float Vec __attribute__((vector_size(WIDTH * 4), aligned(WIDTH * 4), may_alias));
typedef int Bits __attribute__((vector_size(WIDTH * 4), aligned(WIDTH * 4), may_alias));

/* x in every lane. (x - 0 is x; x + 0 is not where x is -0, so that an addition would be left.) */
INLINE Vec NAME(spread)(float x) { return x - (Vec){0}; }

/* max(0, x); what is not a number stays so, that a diverging run is seen. */
INLINE Vec NAME(relu)(Vec x) { return (Vec)((Bits)x & ~(x < 0)); }

/* g where x > 0, else 0. */
INLINE Vec NAME(where_positive)(Vec g, Vec x) { return (Vec)((Bits)g & (x > 0)); }

/* The larger of two, lane by lane. */
INLINE Vec NAME(larger)(Vec a, Vec b) { return (Vec)(((Bits)a & (a > b)) | ((Bits)b & ~(a > b))); }

/* Hold a vector in a register: GCC would fold a load that two products share into both of them,
 * and loads are what bounds the kernels. */
INLINE Vec NAME(held)(Vec x)
{
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#if WIDTH == 16
    __asm__("" : "+v"(x));
#else
    __asm__("" : "+x"(x));
#endif
#endif
    return x;
}

/* Store past the caches what is not read again soon. */
INLINE void NAME(stream)(Vec *to, Vec x)
{
#if defined(__clang__)
    __builtin_nontemporal_store(x, to);
#elif defined(__x86_64__) && WIDTH == 16
    __builtin_ia32_movntps512((float *)to, x);
#elif defined(__x86_64__) && WIDTH == 8
    __builtin_ia32_movntps256((float *)to, x);
#elif defined(__x86_64__)
    __builtin_ia32_movntps((float *)to, x);
#else
    *to = x;
#endif
}

/* Write zeros. */
INLINE void NAME(clear)(Vec *to, long count)
{
    for (long i = 0; i < count; i++) to[i] = NAME(spread)(0);
}

/* Add the first `live` lanes of two vectors a channel to a pair of sums a channel. */
INLINE void NAME(fold)(int channels, int live, const Vec *first, const Vec *second, double *sums)
{
    const float *one = (const float *)first, *two = (const float *)second;
    for (int c = 0; c < channels; c++, one += LANES, two += LANES)
        for (int lane = 0; lane < live; lane++) {
            sums[2 * c] += one[lane];
            sums[2 * c + 1] += two[lane];
        }
}

/* Write `count` pixels of one channel of an activation, from `pixel` on. */
INLINE void NAME(activate)(const struct activation *in, int pixels, int group, int channel,
                           long pixel, int count, Vec *to)
{
    const long from = pixel * LANES;
    const Vec *raw =
        (const Vec *)(in->raw + plane_at(in->raw_channels, pixels, group, channel) + from);
    const long vectors = (long)count * PARTS;
    if (!in->scale) {
        for (long i = 0; i < vectors; i++) to[i] = raw[i];
        return;
    }
    const Vec scale = NAME(spread)(in->scale[channel]), shift = NAME(spread)(in->shift[channel]);
    if (!in->skip) {
        for (long i = 0; i < vectors; i++) to[i] = NAME(relu)(scale * raw[i] + shift);
        return;
    }
    const Vec *skip =
        (const Vec *)(in->skip + plane_at(in->skip_channels, pixels, group, channel) + from);
    if (!in->skip_scale) {
        for (long i = 0; i < vectors; i++) to[i] = NAME(relu)(scale * raw[i] + shift + skip[i]);
        return;
    }
    const Vec by = NAME(spread)(in->skip_scale[channel]);
    const Vec plus = NAME(spread)(in->skip_shift[channel]);
    for (long i = 0; i < vectors; i++)
        to[i] = NAME(relu)(scale * raw[i] + shift + (by * skip[i] + plus));
}

/* `activate`, and keep the result where it is to be kept. */
INLINE void NAME(activate_and_keep)(const struct activation *in, int pixels, int group, int channel,
                                    long pixel, int count, Vec *to)
{
    NAME(activate)(in, pixels, group, channel, pixel, count, to);
    if (!in->kept) return;
    Vec *kept = (Vec *)(in->kept + plane_at(in->channels, pixels, group, channel) + pixel * LANES);
    for (long i = 0; i < (long)count * PARTS; i++) NAME(stream)(kept + i, to[i]);
}

/* An activation as `activate` wrote it, or once more where it was not kept. */
INLINE void NAME(recall)(const struct activation *in, int pixels, int group, int channel,
                         long pixel, int count, Vec *to)
{
    if (!in->kept) {
        NAME(activate)(in, pixels, group, channel, pixel, count, to);
        return;
    }
    const Vec *kept =
        (const Vec *)(in->kept + plane_at(in->channels, pixels, group, channel) + pixel * LANES);
    for (long i = 0; i < (long)count * PARTS; i++) to[i] = kept[i];
}

/* Where vector `part` of row `row` of a tile lies, in vectors, in planes of `wide` pixels a row. */
INLINE long NAME(in_tile)(int stride, long wide, int row, int part)
{
    return ((row * wide + part / PARTS) * stride) * PARTS + part % PARTS;
}

#define FORWARD_TILE (FORWARD_ROWS * FORWARD_COLUMNS * PARTS)

/* Add the products of entries `entry` to `end` to the sums of a tile of one output channel. */
INLINE void NAME(add_products)(const int rows, const int columns, const int stride,
                               const float *scratch, long wide, const struct list *list, int entry,
                               int end, Vec *sum)
{
    const int *offset = list->offset;
    const float *weights = list->weight;
    for (; entry < end; entry++) {
        const Vec *x = (const Vec *)(scratch + offset[entry]);
        const Vec weight = NAME(spread)(weights[2 * entry]);
        UNROLL for (int i = 0; i < rows; i++)
            UNROLL for (int l = 0; l < columns * PARTS; l++)
                sum[i * columns * PARTS + l] += weight * x[NAME(in_tile)(stride, wide, i, l)];
    }
}

/* The same for two output channels that both keep the entries: one load, two products. */
INLINE void NAME(add_shared)(const int rows, const int columns, const int stride,
                             const float *scratch, long wide, const struct list *list, int entry,
                             int end, Vec *first, Vec *second)
{
    const int *offset = list->offset;
    const float *weights = list->weight;
    for (; entry < end; entry++) {
        const Vec *x = (const Vec *)(scratch + offset[entry]);
        const Vec one = NAME(spread)(weights[2 * entry]);
        const Vec two = NAME(spread)(weights[2 * entry + 1]);
        UNROLL for (int i = 0; i < rows; i++)
            UNROLL for (int l = 0; l < columns * PARTS; l++) {
                const Vec v = NAME(held)(x[NAME(in_tile)(stride, wide, i, l)]);
                first[i * columns * PARTS + l] += one * v;
                second[i * columns * PARTS + l] += two * v;
            }
    }
}

/* Store a tile of one output channel; add what it is beyond the channel's pivot, and the square of
 * that, to the channel's sums. */
INLINE void NAME(store_outputs)(const int rows, const int columns, const Vec *tile, float *out,
                                long width, float pivot, Vec *sum, Vec *square)
{
    const Vec around = NAME(spread)(pivot);
    Vec s[PARTS], q[PARTS];
    UNROLL for (int m = 0; m < PARTS; m++) s[m] = sum[m], q[m] = square[m];
    UNROLL for (int i = 0; i < rows; i++)
        UNROLL for (int l = 0; l < columns * PARTS; l++) {
            const Vec v = tile[i * columns * PARTS + l], beyond = v - around;
            NAME(stream)((Vec *)out + NAME(in_tile)(1, width, i, l), v);
            s[l % PARTS] += beyond;
            q[l % PARTS] += beyond * beyond;
        }
    UNROLL for (int m = 0; m < PARTS; m++) sum[m] = s[m], square[m] = q[m];
}

/* Compute a tile of every output channel. The list has three cells for every pair of channels:
 * entries that both keep, those of the first alone, those of the second alone. */
INLINE void NAME(forward_tile)(const int rows, const int columns, const int stride,
                               const float *scratch, long wide, int outputs,
                               const struct list *list, float *out, long out_plane, long width,
                               const float *pivots, Vec *sum, Vec *square)
{
    for (int k = 0; k < outputs; k += 2) {
        const int *start = list->start + k / 2 * 3;
        Vec first[FORWARD_TILE], second[FORWARD_TILE];
        UNROLL for (int l = 0; l < FORWARD_TILE; l++) first[l] = second[l] = NAME(spread)(0);
        if (PAIRS)
            NAME(add_shared)(rows, columns, stride, scratch, wide, list, start[0], start[1], first,
                             second);
        NAME(add_products)(rows, columns, stride, scratch, wide, list, start[1], start[2], first);
        if (!PAIRS) /* frees the registers of the first for the second */
            NAME(store_outputs)(rows, columns, first, out + k * out_plane, width, pivots[k],
                                sum + k * PARTS, square + k * PARTS);
        NAME(add_products)(rows, columns, stride, scratch, wide, list, start[2], start[3], second);
        if (PAIRS)
            NAME(store_outputs)(rows, columns, first, out + k * out_plane, width, pivots[k],
                                sum + k * PARTS, square + k * PARTS);
        if (k + 1 < outputs)
            NAME(store_outputs)(rows, columns, second, out + (k + 1) * out_plane, width,
                                pivots[k + 1], sum + (k + 1) * PARTS, square + (k + 1) * PARTS);
    }
}

/* Compute `rows` rows of every output channel from the scratch, tile by tile. */
INLINE void NAME(forward_strip)(const int stride, int rows, int width, const float *scratch,
                                long wide, int outputs, const struct list *list, float *out,
                                long out_plane, const float *pivots, Vec *sum, Vec *square)
{
#define TILE(ROWS, COLUMNS)                                                                       \
    NAME(forward_tile)(ROWS, COLUMNS, stride, scratch + (r * wide + c) * stride * LANES, wide, \
                       outputs, list, out + ((long)r * width + c) * LANES, out_plane, width,   \
                       pivots, sum, square)
    for (int r = 0, high; r < rows; r += high) {
        high = rows - r >= FORWARD_ROWS ? FORWARD_ROWS : 1;
        for (int c = 0, broad; c < width; c += broad) {
            const int left = width - c;
            broad = left >= FORWARD_COLUMNS ? FORWARD_COLUMNS : left >= 2 ? 2 : 1;
            if (high == FORWARD_ROWS) {
                if (broad == FORWARD_COLUMNS) TILE(FORWARD_ROWS, FORWARD_COLUMNS);
                else if (broad == 2) TILE(FORWARD_ROWS, 2);
                else TILE(FORWARD_ROWS, 1);
            } else {
                if (broad == FORWARD_COLUMNS) TILE(1, FORWARD_COLUMNS);
                else if (broad == 2) TILE(1, 2);
                else TILE(1, 1);
            }
        }
    }
#undef TILE
}

/* Write the rows of the input that a strip of outputs reads into the scratch, zeros around. */
TARGET static void NAME(fill_input)(const struct shape *shape, const struct activation *in,
                                    int group, int first, int rows, int deep, float *scratch)
{
    const int height = shape->height, width = shape->width, stride = shape->stride;
    const long wide = width + 2;
    for (int c = 0; c < shape->inputs; c++)
        for (int i = 0; i < deep; i++) {
            Vec *to = (Vec *)(scratch + ((long)c * deep + i) * wide * LANES);
            const int row = first * stride - 1 + i;
            if (row < 0 || row >= height) {
                NAME(clear)(to, wide * PARTS);
                continue;
            }
            NAME(clear)(to, PARTS);
            NAME(clear)(to + (wide - 1) * PARTS, PARTS);
            /* Rows that two strips read are kept once. */
            if (row >= first * stride && row < (first + rows) * stride)
                NAME(activate_and_keep)(in, height * width, group, c, (long)row * width, width,
                                        to + PARTS);
            else
                NAME(activate)(in, height * width, group, c, (long)row * width, width, to + PARTS);
        }
}

/* Take for a pivot of every channel what the middle pixel of the strip's first image is: variances
 * are summed around it, since those around 0 drown in the square of the mean where it is large. */
TARGET static void NAME(find_pivots)(const int stride, int rows, int width, const float *scratch,
                                     long wide, int outputs, const struct list *list, float *out,
                                     long out_plane, float *pivots, Vec *sum, Vec *square)
{
    const long middle = (rows / 2 * wide + width / 2) * stride;
    out += ((long)rows / 2 * width + width / 2) * LANES;
    memset(pivots, 0, outputs * sizeof(float));
    NAME(forward_tile)(1, 1, stride, scratch + middle * LANES, wide, outputs, list, out, out_plane,
                       width, pivots, sum, square);
    for (int k = 0; k < outputs; k++) pivots[k] = out[k * out_plane];
}

/* Convolve: raw outputs and a pivot a channel; the sums of what outputs are beyond the pivot and of
 * the squares of that, a pair a channel.
 * The scratch has room for 2 outputs + inputs (stride strip + 3 - stride) (width + 2) pixels. */
TARGET void NAME(conv_forward)(int images, const struct shape *shape, const struct activation *in,
                               const struct list *list, float *out, double *sums, float *pivots,
                               float *scratch)
{
    const int outputs = shape->outputs, stride = shape->stride;
    const int height = (shape->height + stride - 1) / stride;
    const int width = (shape->width + stride - 1) / stride;
    const int deep = stride * shape->strip + 3 - stride;
    const long wide = shape->width + 2, out_plane = plane_size(height * width);
    Vec *sum = (Vec *)scratch, *square = sum + (long)outputs * PARTS;
    scratch += 2L * outputs * LANES;
    memset(sums, 0, 2 * outputs * sizeof(double));
    for (int group = 0; group < groups_of(images); group++)
        for (int first = 0; first < height; first += shape->strip) {
            const int rows = least(shape->strip, height - first);
            float *to = out + plane_at(outputs, height * width, group, 0) +
                        (long)first * width * LANES;
            NAME(fill_input)(shape, in, group, first, rows, deep, scratch);
            if (group == 0 && first == 0)
                NAME(find_pivots)(stride, rows, width, scratch, wide, outputs, list, to, out_plane,
                                  pivots, sum, square);
            NAME(clear)(sum, 2L * outputs * PARTS);
            if (stride == 1)
                NAME(forward_strip)(1, rows, width, scratch, wide, outputs, list, to, out_plane,
                                    pivots, sum, square);
            else
                NAME(forward_strip)(2, rows, width, scratch, wide, outputs, list, to, out_plane,
                                    pivots, sum, square);
            NAME(fold)(outputs, live_lanes(images, group), sum, square, sums);
        }
}

/* What the tiles of a backward pass have in common, all of one group, from its strip on. */
struct NAME(backward) {
    const float *scratch; /* gradient of the outputs, zeros around */
    long wide;            /* pixels a row of it */
    const struct list *list;
    float *weight_gradient;
    const float *x;             /* kept activation, or raw where there is `scale` */
    const float *scale, *shift; /* of x; NULL: x is the activation */
    const float *raw, *added;   /* what the gradient is multiplied with for the norm; added to it */
    float *gradient;
    int inputs, width; /* of the input */
    long plane;
    Vec *sum, *product;
};

/* Store the sums of four vectors, those of the same lanes together. */
INLINE void NAME(store_addends)(const Vec *d, Vec *addends)
{
    if (PARTS == 1) addends[0] = (d[0] + d[1]) + (d[2] + d[3]);
    if (PARTS == 2) addends[0] = d[0] + d[2], addends[1] = d[1] + d[3];
    if (PARTS == 4)
        UNROLL for (int m = 0; m < 4; m++) addends[m] = d[m];
}

#define BACKWARD_BLOCK (BACKWARD_ROWS * BACKWARD_COLUMNS)
#define BACKWARD_TILE (PARTS * (BACKWARD_WIDE > BACKWARD_BLOCK ? BACKWARD_WIDE : BACKWARD_BLOCK))

/* Fetch the lines of the next channel while this one is computed. */
INLINE void NAME(fetch_ahead)(const struct NAME(backward) *pass, const int rows, const int columns,
                              const int stride, const int wanted, long place)
{
    UNROLL for (int i = 0; i < rows; i++)
        UNROLL for (int l = 0; l < columns * stride; l++) {
            const long ahead = place + pass->plane + ((long)i * stride * pass->width + l) * LANES;
            __builtin_prefetch(pass->x + ahead);
            if (wanted && pass->raw != pass->x) __builtin_prefetch(pass->raw + ahead);
            if (wanted && pass->added) __builtin_prefetch(pass->added + ahead);
        }
}

/* Read a tile of one channel's activation, or compute it from raw. */
INLINE void NAME(load_inputs)(const struct NAME(backward) *pass, const int rows, const int columns,
                              const int stride, int channel, long place, Vec *x)
{
    const Vec *from = (const Vec *)(pass->x + place);
    const float *scale = pass->scale, *shift = pass->shift;
    UNROLL for (int i = 0; i < rows; i++)
        UNROLL for (int l = 0; l < columns * PARTS; l++) {
            const Vec value = from[NAME(in_tile)(stride, pass->width, i, l)];
            x[i * columns * PARTS + l] =
                scale ? NAME(relu)(scale[channel] * value + shift[channel]) : value;
        }
}

/* Both gradients of one loop: the tile's inputs x and the sums of their gradient stay in registers,
 * every load of the output's gradient serves the input's and the weight's. */
INLINE void NAME(multiply_both)(const struct NAME(backward) *pass, const int rows,
                                const int columns, const int wanted, const float *scratch,
                                const int *start, const Vec *x, Vec *sum)
{
    const long wide = pass->wide;
    const int *offset = pass->list->offset;
    const float *weights = pass->list->weight;
    float *const weight_gradient = pass->weight_gradient;
    for (int entry = start[0], end = start[1]; entry < end; entry++) {
        const Vec *g = (const Vec *)(scratch + offset[entry]);
        const Vec weight = NAME(spread)(weights[entry]);
        Vec *addends = (Vec *)(weight_gradient + (long)LANES * entry);
        Vec d[4]; /* independent sums, of which PARTS are needed */
        UNROLL for (int m = 0; m < 4; m++) d[m] = m < PARTS ? addends[m % PARTS] : NAME(spread)(0);
        UNROLL for (int i = 0; i < rows; i++)
            UNROLL for (int l = 0; l < columns * PARTS; l++) {
                const int at = i * columns * PARTS + l;
                const Vec v = NAME(held)(g[NAME(in_tile)(1, wide, i, l)]);
                if (wanted) sum[at] += weight * v;
                d[at & 3] += x[at] * v;
            }
        NAME(store_addends)(d, addends);
    }
}

/* Finish a tile of the input's gradient: add what a shortcut adds, zero what ReLU zeroed, store it;
 * add it and its product with raw to the channel's sums. */
INLINE void NAME(store_gradient)(const struct NAME(backward) *pass, const int rows,
                                 const int columns, const int stride, int channel, long place,
                                 const Vec *x, const Vec *tile)
{
    const long width = pass->width;
    const Vec *raw = (const Vec *)(pass->raw + place);
    const Vec *added = pass->added ? (const Vec *)(pass->added + place) : NULL;
    Vec *to = (Vec *)(pass->gradient + place);
    Vec *sum = pass->sum + channel * PARTS, *product = pass->product + channel * PARTS;
    Vec s[PARTS], q[PARTS];
    UNROLL for (int m = 0; m < PARTS; m++) s[m] = sum[m], q[m] = product[m];
    UNROLL for (int i = 0; i < rows; i++)
        UNROLL for (int l = 0; l < columns * PARTS; l++) {
            const long at = NAME(in_tile)(stride, width, i, l);
            Vec g = tile[i * columns * PARTS + l];
            if (added) g += added[at];
            g = NAME(where_positive)(g, x[i * columns * PARTS + l]);
            NAME(stream)(to + at, g);
            s[l % PARTS] += g;
            q[l % PARTS] += g * raw[at];
        }
    UNROLL for (int m = 0; m < PARTS; m++) sum[m] = s[m], product[m] = q[m];
}

/* Differentiate a tile of every input channel. With a stride of 2 the pixels of an input have four
 * positions (row and column even or odd), with a cell of the list and a tile each. */
INLINE void NAME(backward_tile)(const struct NAME(backward) *pass, const int rows,
                                const int columns, const int stride, const int wanted,
                                int row_phases, int column_phases, int row, int column)
{
    const float *scratch = pass->scratch + (row * pass->wide + column) * LANES;
    for (int c = 0; c < pass->inputs; c++)
        for (int phase = 0; phase < row_phases * column_phases; phase++) {
            const int down = phase / column_phases, right = phase % column_phases;
            const int *start = pass->list->start + (c * stride + down) * stride + right;
            const long pixel = (row * stride + down) * (long)pass->width + column * stride + right;
            const long place = c * pass->plane + pixel * LANES;
            Vec x[BACKWARD_TILE], sum[BACKWARD_TILE];
            UNROLL for (int l = 0; l < BACKWARD_TILE; l++) sum[l] = NAME(spread)(0);
            NAME(load_inputs)(pass, rows, columns, stride, c, place, x);
            if (right == 0) NAME(fetch_ahead)(pass, rows, columns, stride, wanted, place);
            NAME(multiply_both)(pass, rows, columns, wanted, scratch, start, x, sum);
            if (wanted) NAME(store_gradient)(pass, rows, columns, stride, c, place, x, sum);
        }
}

/* Go over `rows` x `columns` pixels of the output's gradient, from a row and a column on, tile by
 * tile. */
INLINE void NAME(backward_area)(const struct NAME(backward) *pass, const int stride,
                                const int wanted, int row_phases, int column_phases, int row,
                                int rows, int column, int columns)
{
#define TILE(ROWS, COLUMNS)                                                                     \
    NAME(backward_tile)(pass, ROWS, COLUMNS, stride, wanted, row_phases, column_phases, row + r, \
                        column + c)
    for (int c = 0, broad; c < columns; c += broad) {
        const int left = columns - c;
        broad = left >= BACKWARD_COLUMNS ? BACKWARD_COLUMNS : left >= 2 ? 2 : 1;
        if (BACKWARD_WIDE && left >= BACKWARD_WIDE) {
            broad = BACKWARD_WIDE;
            for (int r = 0; r < rows; r++) TILE(1, BACKWARD_WIDE ? BACKWARD_WIDE : 1);
            continue;
        }
        for (int r = 0, high; r < rows; r += high) {
            high = rows - r >= BACKWARD_ROWS ? BACKWARD_ROWS : 1;
            if (high == BACKWARD_ROWS) {
                if (broad == BACKWARD_COLUMNS) TILE(BACKWARD_ROWS, BACKWARD_COLUMNS);
                else if (broad == 2) TILE(BACKWARD_ROWS, 2);
                else TILE(BACKWARD_ROWS, 1);
            } else {
                if (broad == BACKWARD_COLUMNS) TILE(1, BACKWARD_COLUMNS);
                else if (broad == 2) TILE(1, 2);
                else TILE(1, 1);
            }
        }
    }
#undef TILE
}

/* Both gradients of the part of the input that `rows` rows of the output stand over. */
INLINE void NAME(backward_strip)(const struct NAME(backward) *pass, const int stride,
                                 const int wanted, int rows, int in_rows)
{
    if (stride == 1) {
        NAME(backward_area)(pass, 1, wanted, 1, 1, 0, rows, 0, pass->width);
        return;
    }
    /* The last row and column of an odd input have no neighbour below and to the right. */
    const int below = in_rows / 2, beside = pass->width / 2;
    NAME(backward_area)(pass, 2, wanted, 2, 2, 0, below, 0, beside);
    if (pass->width % 2) NAME(backward_area)(pass, 2, wanted, 2, 1, 0, below, beside, 1);
    if (in_rows % 2) NAME(backward_area)(pass, 2, wanted, 1, 2, below, 1, 0, beside);
    if (in_rows % 2 && pass->width % 2)
        NAME(backward_area)(pass, 2, wanted, 1, 1, below, 1, beside, 1);
}

/* Write the gradient of the raw outputs that a strip needs into the scratch, zeros around and in
 * dead lanes. */
TARGET static void NAME(fill_gradient)(const struct shape *shape, const struct outgoing *out,
                                       int height, int width, int group, int live, int first,
                                       int rows, float *scratch)
{
    const int outputs = shape->outputs, deep = shape->strip + 2, branch = out->branch_channels;
    const long wide = width + 2;
    Bits alive[PARTS];
    for (int lane = 0; lane < LANES; lane++) ((int *)alive)[lane] = lane < live ? -1 : 0;
    for (int k = 0; k < outputs; k++) {
        const float *raw = out->raw + plane_at(outputs, height * width, group, k);
        const float *gradient =
            k < branch
                ? out->branch + plane_at(branch, height * width, group, k)
                : out->shortcut + plane_at(outputs - branch, height * width, group, k - branch);
        const Vec by_gradient = NAME(spread)(out->by_gradient[k]);
        const Vec by_raw = NAME(spread)(out->by_raw[k]);
        const Vec constant = NAME(spread)(out->constant[k]);
        for (int i = 0; i < rows + 2; i++) {
            Vec *to = (Vec *)(scratch + ((long)k * deep + i) * wide * LANES);
            const int row = first - 1 + i;
            if (row < 0 || row >= height) {
                NAME(clear)(to, wide * PARTS);
                continue;
            }
            NAME(clear)(to, PARTS);
            NAME(clear)(to + (wide - 1) * PARTS, PARTS);
            to += PARTS;
            const Vec *g = (const Vec *)(gradient + (long)row * width * LANES);
            const Vec *y = (const Vec *)(raw + (long)row * width * LANES);
            for (long l = 0; l < (long)width * PARTS; l++)
                to[l] = by_gradient * g[l] + (by_raw * y[l] + constant);
            if (live < LANES)
                for (long l = 0; l < (long)width * PARTS; l++)
                    to[l] = (Vec)((Bits)to[l] & alive[l % PARTS]);
        }
    }
}

/* Differentiate a convolution. `weight_gradient` has LANES addends an entry of the list.
 * `gradient` (NULL: not wanted) is that of the activation's sum before its max(0, .), `added`
 * (NULL: nothing) included; `sums` are those of it and of its product with raw, a pair a channel.
 * It is wanted wherever the stride is 2: no network strides over its images.
 * The scratch has room for 2 inputs + outputs (strip + 2) (width of the output + 2) pixels. */
TARGET void NAME(conv_backward)(int images, const struct shape *shape, const struct outgoing *out,
                                const struct activation *in, const struct list *list,
                                float *weight_gradient, const float *added, float *gradient,
                                double *sums, float *scratch)
{
    const int inputs = shape->inputs, stride = shape->stride, pixels = shape->height * shape->width;
    const int height = (shape->height + stride - 1) / stride;
    const int width = (shape->width + stride - 1) / stride;
    Vec *sum = (Vec *)scratch;
    struct NAME(backward) pass = {
        .scratch = scratch + 2L * inputs * LANES,
        .wide = width + 2,
        .list = list,
        .weight_gradient = weight_gradient,
        .scale = in->kept ? NULL : in->scale,
        .shift = in->kept ? NULL : in->shift,
        .inputs = inputs,
        .width = shape->width,
        .plane = plane_size(pixels),
        .sum = sum,
        .product = sum + (long)inputs * PARTS,
    };
    const int entries = list->start[inputs * stride * stride];
    memset(weight_gradient, 0, (size_t)entries * LANES * sizeof(float));
    memset(sums, 0, 2 * inputs * sizeof(double));
    for (int group = 0; group < groups_of(images); group++)
        for (int first = 0; first < height; first += shape->strip) {
            const int rows = least(shape->strip, height - first);
            const int in_rows = least(rows * stride, shape->height - first * stride);
            const long row = (long)first * stride * shape->width * LANES;
            const long own = plane_at(inputs, pixels, group, 0) + row;
            pass.raw = in->raw + plane_at(in->raw_channels, pixels, group, 0) + row;
            pass.x = in->kept ? in->kept + own : pass.raw;
            pass.added = added ? added + own : NULL;
            pass.gradient = gradient ? gradient + own : NULL;
            NAME(fill_gradient)(shape, out, height, width, group, live_lanes(images, group), first,
                                rows, scratch + 2L * inputs * LANES);
            NAME(clear)(sum, 2L * inputs * PARTS);
            if (stride == 2) NAME(backward_strip)(&pass, 2, 1, rows, in_rows);
            else if (gradient) NAME(backward_strip)(&pass, 1, 1, rows, in_rows);
            else NAME(backward_strip)(&pass, 1, 0, rows, in_rows);
            NAME(fold)(inputs, LANES, pass.sum, pass.product, sums);
        }
}

/* Pool windows of 2x2 pixels, cut off at the border: their largest activations.
 * The scratch has room for two rows. */
TARGET void NAME(max_pool_forward)(int images, int height, int width, const struct activation *in,
                                   float *out, float *scratch)
{
    const int low = (height + 1) / 2, narrow = (width + 1) / 2;
    Vec *upper = (Vec *)scratch, *lower = upper + (long)width * PARTS;
    for (int group = 0; group < groups_of(images); group++)
        for (int c = 0; c < in->channels; c++) {
            Vec *to = (Vec *)(out + plane_at(in->channels, low * narrow, group, c));
            for (int r = 0; r < height; r += 2) {
                const int next = least(r + 1, height - 1);
                NAME(activate)(in, height * width, group, c, (long)r * width, width, upper);
                NAME(activate)(in, height * width, group, c, (long)next * width, width, lower);
                for (int x = 0; x < width; x += 2)
                    for (int m = 0; m < PARTS; m++, to++) {
                        const int left = x * PARTS + m;
                        const int right = least(x + 1, width - 1) * PARTS + m;
                        const Vec above = NAME(larger)(upper[right], upper[left]);
                        const Vec below = NAME(larger)(lower[right], lower[left]);
                        *to = NAME(larger)(below, above);
                    }
            }
        }
}

/* Give the gradient of every window to the first of its pixels that is the largest; sums of it and
 * of its product with raw, a pair a channel. The scratch has room for two rows. */
TARGET void NAME(max_pool_backward)(int images, int height, int width, const struct activation *in,
                                    const float *out, const float *out_gradient, float *gradient,
                                    double *sums, float *scratch)
{
    const int low = (height + 1) / 2, narrow = (width + 1) / 2, pixels = height * width;
    memset(sums, 0, 2 * in->channels * sizeof(double));
    for (int group = 0; group < groups_of(images); group++)
        for (int c = 0; c < in->channels; c++) {
            const long pooled = plane_at(in->channels, low * narrow, group, c);
            const Vec *largest = (const Vec *)(out + pooled);
            const Vec *g = (const Vec *)(out_gradient + pooled);
            const Vec *raw = (const Vec *)(in->raw + plane_at(in->raw_channels, pixels, group, c));
            Vec *to = (Vec *)(gradient + plane_at(in->channels, pixels, group, c));
            Vec sum[PARTS], product[PARTS];
            NAME(clear)(sum, PARTS);
            NAME(clear)(product, PARTS);
            for (int r = 0; r < height; r += 2) {
                const int rows = least(2, height - r);
                NAME(activate)(in, pixels, group, c, (long)r * width, rows * width, (Vec *)scratch);
                for (int x = 0; x < width; x += 2)
                    for (int m = 0; m < PARTS; m++, largest++, g++) {
                        Bits left = ~(Bits){0}; /* lanes that have not found it yet */
                        for (int i = 0; i < rows; i++)
                            for (int j = x; j < least(x + 2, width); j++) {
                                const long at = ((long)i * width + j) * PARTS + m;
                                const long place = (long)r * width * PARTS + at;
                                const Bits found = left & (((Vec *)scratch)[at] == *largest);
                                const Vec due = (Vec)((Bits)*g & found);
                                const Vec given = NAME(where_positive)(due, *largest);
                                left &= ~found;
                                NAME(stream)(to + place, given);
                                sum[m] += given;
                                product[m] += given * raw[place];
                            }
                    }
            }
            NAME(fold)(1, LANES, sum, product, sums + 2 * c);
        }
}

/* Average an activation over its pixels, into features. The scratch has room for one plane. */
TARGET void NAME(mean_forward)(int images, int pixels, const struct activation *in, float *mean,
                               float *scratch)
{
    const int groups = groups_of(images);
    for (int group = 0; group < groups; group++)
        for (int c = 0; c < in->channels; c++) {
            const Vec *x = (const Vec *)scratch;
            Vec *to = (Vec *)(mean + ((long)c * groups + group) * LANES);
            NAME(activate_and_keep)(in, pixels, group, c, 0, pixels, (Vec *)scratch);
            NAME(clear)(to, PARTS);
            for (long i = 0; i < (long)pixels * PARTS; i++) to[i % PARTS] += x[i];
            for (int m = 0; m < PARTS; m++) to[m] /= (float)pixels;
        }
}

/* Differentiate the average: gradient of the activation's sum before its max(0, .), and the sums of
 * it and of its product with raw, a pair a channel. The scratch has room for one plane. */
TARGET void NAME(mean_backward)(int images, int pixels, const struct activation *in,
                                const float *mean_gradient, float *gradient, double *sums,
                                float *scratch)
{
    const int groups = groups_of(images);
    memset(sums, 0, 2 * in->channels * sizeof(double));
    for (int group = 0; group < groups; group++)
        for (int c = 0; c < in->channels; c++) {
            const Vec *x = (const Vec *)scratch;
            const Vec *g = (const Vec *)(mean_gradient + ((long)c * groups + group) * LANES);
            const Vec *raw = (const Vec *)(in->raw + plane_at(in->raw_channels, pixels, group, c));
            Vec *to = (Vec *)(gradient + plane_at(in->channels, pixels, group, c));
            Vec sum[PARTS], product[PARTS];
            NAME(clear)(sum, PARTS);
            NAME(clear)(product, PARTS);
            NAME(recall)(in, pixels, group, c, 0, pixels, (Vec *)scratch);
            for (long i = 0; i < (long)pixels * PARTS; i++) {
                to[i] = NAME(where_positive)(g[i % PARTS] / (float)pixels, x[i]);
                sum[i % PARTS] += to[i];
                product[i % PARTS] += to[i] * raw[i];
            }
            NAME(fold)(1, LANES, sum, product, sums + 2 * c);
        }
}

/* Compute `parts` vectors of every output feature, from vector `first` of a row of `row` on. */
INLINE void NAME(linear_forward_tile)(const int parts, long first, long row, int outputs,
                                      const struct list *list, const float *bias, int rectified,
                                      const float *in, float *out)
{
    for (int k = 0; k < outputs; k++) {
        Vec sum[8];
        UNROLL for (int l = 0; l < parts; l++) sum[l] = NAME(spread)(bias ? bias[k] : 0);
        for (int entry = list->start[k]; entry < list->start[k + 1]; entry++) {
            const Vec *x = (const Vec *)in + list->offset[entry] * row + first;
            const Vec weight = NAME(spread)(list->weight[entry]);
            UNROLL for (int l = 0; l < parts; l++) sum[l] += weight * x[l];
        }
        Vec *to = (Vec *)out + k * row + first;
        UNROLL for (int l = 0; l < parts; l++) to[l] = rectified ? NAME(relu)(sum[l]) : sum[l];
    }
}

/* A linear layer on features, max(0, .) of it where it is `rectified`. */
TARGET void NAME(linear_forward)(int images, int outputs, const struct list *list,
                                 const float *bias, int rectified, const float *in, float *out)
{
    const long row = (long)groups_of(images) * PARTS;
    for (long first = 0, parts; first < row; first += parts) {
        parts = row - first >= 8 ? 8 : PARTS;
        if (parts == 8)
            NAME(linear_forward_tile)(8, first, row, outputs, list, bias, rectified, in, out);
        else
            NAME(linear_forward_tile)(PARTS, first, row, outputs, list, bias, rectified, in, out);
    }
}

/* Both gradients of `parts` vectors of every input feature. */
INLINE void NAME(linear_backward_tile)(const int parts, long first, long row, int inputs,
                                       const struct list *list, const float *in,
                                       const float *out_gradient, float *weight_gradient,
                                       float *gradient)
{
    for (int c = 0; c < inputs; c++) {
        const Vec *from = (const Vec *)in + c * row + first;
        Vec x[8], sum[8];
        UNROLL for (int l = 0; l < parts; l++) x[l] = from[l], sum[l] = NAME(spread)(0);
        for (int entry = list->start[c]; entry < list->start[c + 1]; entry++) {
            const Vec *g = (const Vec *)out_gradient + list->offset[entry] * row + first;
            const Vec weight = NAME(spread)(list->weight[entry]);
            Vec *addends = (Vec *)(weight_gradient + (long)LANES * entry);
            Vec d[4];
            UNROLL for (int m = 0; m < 4; m++)
                d[m] = m < PARTS ? addends[m % PARTS] : NAME(spread)(0);
            UNROLL for (int l = 0; l < parts; l++) {
                const Vec v = NAME(held)(g[l]);
                sum[l] += weight * v;
                d[l & 3] += x[l] * v;
            }
            NAME(store_addends)(d, addends);
        }
        if (!gradient) continue;
        Vec *to = (Vec *)gradient + c * row + first;
        UNROLL for (int l = 0; l < parts; l++) to[l] = NAME(where_positive)(sum[l], x[l]);
    }
}

/* Differentiate a linear layer. `weight_gradient` has LANES addends an entry of the list;
 * `gradient` (NULL: not wanted) is zero where the input is. */
TARGET void NAME(linear_backward)(int images, int inputs, const struct list *list, const float *in,
                                  const float *out_gradient, float *weight_gradient,
                                  float *gradient)
{
    const long row = (long)groups_of(images) * PARTS;
    memset(weight_gradient, 0, (size_t)list->start[inputs] * LANES * sizeof(float));
    for (long first = 0, parts; first < row; first += parts) {
        parts = row - first >= 8 ? 8 : PARTS;
        if (parts == 8)
            NAME(linear_backward_tile)(8, first, row, inputs, list, in, out_gradient,
                                       weight_gradient, gradient);
        else
            NAME(linear_backward_tile)(PARTS, first, row, inputs, list, in, out_gradient,
                                       weight_gradient, gradient);
    }
}

#undef JOINED_
#undef JOINED
#undef NAME
#undef INLINE
#undef UNROLL
#undef Vec
#undef Bits
#undef PARTS
#undef FORWARD_TILE
#undef BACKWARD_BLOCK
#undef BACKWARD_TILE
#undef INSTRUCTION_SET
#undef TARGET
#undef WIDTH
#undef PAIRS
#undef FORWARD_ROWS
#undef FORWARD_COLUMNS
#undef BACKWARD_ROWS
#undef BACKWARD_COLUMNS
#undef BACKWARD_WIDE

#endif
