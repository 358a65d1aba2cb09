// Training batch norm with ReLU and residual addition in one pass each way, for channels-last
// images on the CPU: rows of C channels, x[M][C], in float or bfloat16 with float arithmetic.
//
// `fold` rows are treated as one long row, whose length is a multiple of the vector length. So small
// encoders (8 channels) use whole vectors. Sums are relative to the first row, in float within a
// block and in double over blocks, so the variance does not cancel. Every thread has a fixed share of
// the blocks, so results depend on nothing but the number of threads.

#include <omp.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <numeric>
#include <vector>

namespace {

constexpr int64_t kLanes = 16;
constexpr int64_t kBlock = 512;  // long rows in a block, which stays in the second-level cache

#if defined(__AVX512F__)
constexpr int64_t kWidest = 16;
#elif defined(__AVX__)
constexpr int64_t kWidest = 8;
#else
constexpr int64_t kWidest = 4;
#endif

typedef float Vector __attribute__((vector_size(4 * kLanes)));
typedef float Part __attribute__((vector_size(4 * kWidest)));
typedef uint32_t Bits __attribute__((vector_size(4 * kLanes)));
typedef uint16_t Half __attribute__((vector_size(2 * kLanes)));

Vector load(const float* from) {
    Vector value;
    std::memcpy(&value, from, sizeof value);
    return value;
}

Vector load(const uint16_t* from) {
    Half half;
    std::memcpy(&half, from, sizeof half);
    const Bits bits = __builtin_convertvector(half, Bits) << 16;
    return (Vector)bits;  // same size: reinterprets the bits
}

void store(float* to, Vector value) { std::memcpy(to, &value, sizeof value); }

void store(uint16_t* to, Vector value) {  // to the nearest, ties to even
    Bits bits = (Bits)value;
    bits = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
    const Half half = __builtin_convertvector(bits, Half);
    std::memcpy(to, &half, sizeof half);
}

// GCC compares vectors that are longer than the processor's number by number, which takes longer
// than all the rest of a pass. So comparisons are made in parts of the processor's length.
template <typename Choose>
Vector by_parts(Vector condition, Vector value, Choose choose) {
    Part conditions[kLanes / kWidest], values[kLanes / kWidest];
    std::memcpy(conditions, &condition, sizeof condition);
    std::memcpy(values, &value, sizeof value);
    for (int64_t part = 0; part < kLanes / kWidest; ++part)
        values[part] = choose(conditions[part], values[part]);
    std::memcpy(&value, values, sizeof value);
    return value;
}

Vector positive(Vector value) {
    const Part zero = {};
    return by_parts(value, value, [&](Part x, Part y) { return x < zero ? zero : y; });  // NaN stays
}

Vector where_positive(Vector condition, Vector value) {
    const Part zero = {};
    return by_parts(condition, value, [&](Part x, Part y) { return x > zero ? y : zero; });
}

// Rows of `length` lanes: `rows` of them, and `rest` short rows (fewer than `fold`) at the end.
struct Shape {
    int64_t channels, fold, length, rows, rest, blocks;

    Shape(int64_t images, int64_t c)
        : channels(c),
          fold(kLanes / std::gcd(kLanes, c)),
          length(c * fold),
          rows(images / fold),
          rest(images % fold),
          blocks((rows + kBlock - 1) / kBlock) {}

    std::vector<float> repeat(const float* values) const {
        std::vector<float> row(length);
        for (int64_t j = 0; j < length; ++j) row[j] = values[j % channels];
        return row;
    }
};

// The rest as one row of its own, so that vectors never read beyond the data.
template <typename T>
struct Rest {
    std::vector<T> values;

    Rest(const T* data, const Shape& shape) : values(shape.length) {
        if (data && shape.rest)
            std::copy_n(data + shape.rows * shape.length, shape.rest * shape.channels,
                        values.begin());
    }
};

// Calls body(first, last, thread) on each block of rows, threads in fixed shares.
template <typename Body>
void over_blocks(const Shape& shape, int threads, Body body) {
#pragma omp parallel num_threads(threads)
    {
        const int thread = omp_get_thread_num(), all = omp_get_num_threads();
        const int64_t from = shape.blocks * thread / all, to = shape.blocks * (thread + 1) / all;
        for (int64_t block = from; block < to; ++block)
            body(block * kBlock, std::min(shape.rows, (block + 1) * kBlock), thread);
    }
}

struct Sums {
    std::vector<double> first, second;  // [threads][length]

    Sums(int threads, int64_t length) : first(threads * length), second(threads * length) {}

    void add(int thread, int64_t length, int64_t lane, Vector a, Vector b) {
        double* one = &first[thread * length + lane];
        double* two = &second[thread * length + lane];
        for (int64_t j = 0; j < kLanes; ++j) one[j] += a[j], two[j] += b[j];
    }

    static std::vector<double> fold(const std::vector<double>& sums, const Shape& shape) {
        std::vector<double> total(shape.channels);
        for (size_t j = 0; j < sums.size(); ++j) total[j % shape.length % shape.channels] += sums[j];
        return total;
    }
};

template <typename T>
void forward(const T* x, const T* residual, T* y, const float* weight, const float* bias,
             float* mean, float* variance, float* inverse, int64_t images, int64_t channels,
             double epsilon, bool relu, int threads) {
    const Shape shape(images, channels);
    const int64_t length = shape.length;
    std::vector<float> origin_channels(channels);
    for (int64_t c = 0; c < channels; ++c) {
        T lanes[kLanes] = {x[c]};
        origin_channels[c] = load(lanes)[0];
    }
    const std::vector<float> origin = shape.repeat(origin_channels.data());

    Sums sums(threads, length);
    const auto count = [&](const T* from, int64_t first, int64_t last, int thread) {
        for (int64_t lane = 0; lane < length; lane += kLanes) {
            const Vector shift = load(&origin[lane]);
            Vector sum = {}, square = {};
            for (int64_t row = first; row < last; ++row) {
                const Vector value = load(from + row * length + lane) - shift;
                sum += value;
                square += value * value;
            }
            sums.add(thread, length, lane, sum, square);
        }
    };
    over_blocks(shape, threads, [&](int64_t first, int64_t last, int thread) {
        count(x, first, last, thread);
    });
    Rest<T> rest(x, shape);
    if (shape.rest) {  // what is missing from a whole row is at the origin, and adds nothing
        for (int64_t j = shape.rest * channels; j < length; ++j) rest.values[j] = x[j % channels];
        count(rest.values.data(), 0, 1, 0);
    }
    const std::vector<double> sum = Sums::fold(sums.first, shape);
    const std::vector<double> square = Sums::fold(sums.second, shape);
    std::vector<float> scale_channels(channels), offset_channels(channels);
    for (int64_t c = 0; c < channels; ++c) {
        const double centre = sum[c] / images;
        double spread = square[c] / images - centre * centre;
        if (spread < 0) spread = 0;  // by rounding; NaN stays NaN
        mean[c] = static_cast<float>(origin_channels[c] + centre);
        variance[c] = static_cast<float>(spread);
        inverse[c] = static_cast<float>(1 / std::sqrt(spread + epsilon));
        scale_channels[c] = weight[c] * inverse[c];
        offset_channels[c] = bias[c] - mean[c] * scale_channels[c];
    }
    const std::vector<float> scale = shape.repeat(scale_channels.data());
    const std::vector<float> offset = shape.repeat(offset_channels.data());

    const auto apply = [&](const T* from, const T* plus, T* to, int64_t first, int64_t last) {
        for (int64_t row = first; row < last; ++row)
            for (int64_t lane = 0; lane < length; lane += kLanes) {
                const int64_t at = row * length + lane;
                Vector value = load(from + at) * load(&scale[lane]) + load(&offset[lane]);
                if (plus) value += load(plus + at);
                store(to + at, relu ? positive(value) : value);
            }
    };
    over_blocks(shape, threads, [&](int64_t first, int64_t last, int) {
        apply(x, residual, y, first, last);
    });
    if (shape.rest) {
        const Rest<T> plus(residual, shape);
        std::vector<T> to(length);
        apply(rest.values.data(), residual ? plus.values.data() : nullptr, to.data(), 0, 1);
        std::copy_n(to.begin(), shape.rest * channels, y + shape.rows * length);
    }
}

// gradient: of y. Writes the gradient of x, and of the residual where that is wanted.
template <typename T>
void backward(const T* gradient, const T* x, const T* y, T* gradient_x, T* gradient_residual,
              const float* weight, const float* mean, const float* inverse, float* gradient_weight,
              float* gradient_bias, int64_t images, int64_t channels, bool relu, int threads) {
    const Shape shape(images, channels);
    const int64_t length = shape.length;
    const std::vector<float> centre = shape.repeat(mean);

    Sums sums(threads, length);
    const auto count = [&](const T* g, const T* from, const T* out, T* kept, int64_t first,
                           int64_t last, int thread) {
        for (int64_t lane = 0; lane < length; lane += kLanes) {
            const Vector shift = load(&centre[lane]);
            Vector sum = {}, product = {};
            for (int64_t row = first; row < last; ++row) {
                const int64_t at = row * length + lane;
                Vector value = load(g + at);
                if (relu) value = where_positive(load(out + at), value);
                if (kept) store(kept + at, value);
                sum += value;
                product += value * (load(from + at) - shift);
            }
            sums.add(thread, length, lane, sum, product);
        }
    };
    over_blocks(shape, threads, [&](int64_t first, int64_t last, int thread) {
        count(gradient, x, y, gradient_residual, first, last, thread);
    });
    const Rest<T> rest_g(gradient, shape), rest_x(x, shape), rest_y(relu ? y : nullptr, shape);
    std::vector<T> to(length);
    if (shape.rest) {  // the gradient is zero where a row is incomplete
        count(rest_g.values.data(), rest_x.values.data(), rest_y.values.data(),
              gradient_residual ? to.data() : nullptr, 0, 1, 0);
        if (gradient_residual)
            std::copy_n(to.begin(), shape.rest * channels, gradient_residual + shape.rows * length);
    }
    const std::vector<double> sum = Sums::fold(sums.first, shape);
    const std::vector<double> product = Sums::fold(sums.second, shape);
    // With the mean and variance depending on x: dx = scale g + slope x + offset.
    std::vector<float> scales(channels), slopes(channels), offsets(channels);
    for (int64_t c = 0; c < channels; ++c) {
        gradient_bias[c] = static_cast<float>(sum[c]);
        gradient_weight[c] = static_cast<float>(product[c] * inverse[c]);
        const double scale = static_cast<double>(weight[c]) * inverse[c];
        const double slope = -scale * inverse[c] * inverse[c] * product[c] / images;
        scales[c] = static_cast<float>(scale);
        slopes[c] = static_cast<float>(slope);
        offsets[c] = static_cast<float>(-scale * sum[c] / images - slope * mean[c]);
    }
    const std::vector<float> scale = shape.repeat(scales.data());
    const std::vector<float> slope = shape.repeat(slopes.data());
    const std::vector<float> offset = shape.repeat(offsets.data());

    const auto apply = [&](const T* g, const T* from, const T* out, bool masked, T* dx,
                           int64_t first, int64_t last) {
        for (int64_t row = first; row < last; ++row)
            for (int64_t lane = 0; lane < length; lane += kLanes) {
                const int64_t at = row * length + lane;
                Vector value = load(g + at);
                if (masked) value = where_positive(load(out + at), value);
                store(dx + at, value * load(&scale[lane]) + load(from + at) * load(&slope[lane]) +
                                   load(&offset[lane]));
            }
    };
    const bool masked = relu && !gradient_residual;  // which is the masked gradient already
    over_blocks(shape, threads, [&](int64_t first, int64_t last, int) {
        apply(gradient_residual ? gradient_residual : gradient, x, y, masked, gradient_x, first,
              last);
    });
    if (shape.rest) {
        apply(rest_g.values.data(), rest_x.values.data(), rest_y.values.data(), relu, to.data(), 0,
              1);
        std::copy_n(to.begin(), shape.rest * channels, gradient_x + shape.rows * length);
    }
}

}  // namespace

extern "C" {

void batch_norm_forward(int bfloat16, const void* x, const void* residual, void* y,
                        const float* weight, const float* bias, float* mean, float* variance,
                        float* inverse, int64_t images, int64_t channels, double epsilon, int relu,
                        int threads) {
    if (bfloat16)
        forward(static_cast<const uint16_t*>(x), static_cast<const uint16_t*>(residual),
                static_cast<uint16_t*>(y), weight, bias, mean, variance, inverse, images, channels,
                epsilon, relu != 0, threads);
    else
        forward(static_cast<const float*>(x), static_cast<const float*>(residual),
                static_cast<float*>(y), weight, bias, mean, variance, inverse, images, channels,
                epsilon, relu != 0, threads);
}

void batch_norm_backward(int bfloat16, const void* gradient, const void* x, const void* y,
                         void* gradient_x, void* gradient_residual, const float* weight,
                         const float* mean, const float* inverse, float* gradient_weight,
                         float* gradient_bias, int64_t images, int64_t channels, int relu,
                         int threads) {
    if (bfloat16)
        backward(static_cast<const uint16_t*>(gradient), static_cast<const uint16_t*>(x),
                 static_cast<const uint16_t*>(y), static_cast<uint16_t*>(gradient_x),
                 static_cast<uint16_t*>(gradient_residual), weight, mean, inverse, gradient_weight,
                 gradient_bias, images, channels, relu != 0, threads);
    else
        backward(static_cast<const float*>(gradient), static_cast<const float*>(x),
                 static_cast<const float*>(y), static_cast<float*>(gradient_x),
                 static_cast<float*>(gradient_residual), weight, mean, inverse, gradient_weight,
                 gradient_bias, images, channels, relu != 0, threads);
}
}
