// Colour jitter of a batch of RGB images in one pass, equal to torch's operators in views/colour.py.
// An image stays in the first-level cache while brightness, contrast, saturation, hue and grey are
// applied to it, in the order drawn for it. Each image is computed alone, so results do not depend on
// the number of threads.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

namespace {

constexpr float kRed = 0.2989f, kGreen = 0.587f, kBlue = 0.114f;  // as in views/colour.py

struct Image {
    float *red, *green, *blue;
    int64_t pixels;
};

inline float unit(float value) { return std::min(std::max(value, 0.0f), 1.0f); }

inline float luma(const Image& image, int64_t i) {
    return kRed * image.red[i] + kGreen * image.green[i] + kBlue * image.blue[i];
}

// Multiplies all channels by `factor`; adds `offset`, and `share` times the pixel's luma.
void blend(const Image& image, float factor, float offset, float share) {
#pragma omp simd
    for (int64_t i = 0; i < image.pixels; ++i) {
        const float reference = offset + share * luma(image, i);
        image.red[i] = unit(factor * image.red[i] + reference);
        image.green[i] = unit(factor * image.green[i] + reference);
        image.blue[i] = unit(factor * image.blue[i] + reference);
    }
}

float mean_luma(const Image& image) {
    float sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t i = 0; i < image.pixels; ++i) sum += luma(image, i);
    return sum / image.pixels;
}

// The share of the chroma that a channel has at a hue in sixths of a turn: a trapezoid.
inline float trapezoid(float hue, float centre, float slope, float height) {
    return unit(slope * std::fabs(hue - centre) + height);
}

void shift_hue(const Image& image, float turns) {
#pragma omp simd
    for (int64_t i = 0; i < image.pixels; ++i) {
        const float red = image.red[i], green = image.green[i], blue = image.blue[i];
        const float high = std::max(std::max(red, green), blue);
        const float low = std::min(std::min(red, green), blue);
        const float chroma = high - low, scale = 1 / std::max(chroma, 1e-8f);
        float hue = (red - green) * scale + 4;
        hue = green == high ? (blue - red) * scale + 2 : hue;
        hue = red == high ? (green - blue) * scale : hue;
        hue += 6 * turns;
        hue -= 6 * std::floor(hue / 6);
        image.red[i] = low + chroma * trapezoid(hue, 3, 1, -1);
        image.green[i] = low + chroma * trapezoid(hue, 2, -1, 2);
        image.blue[i] = low + chroma * trapezoid(hue, 4, -1, 2);
    }
}

}  // namespace

// planes: [3][images][pixels]. factors, order: [images][3], an operation being 0 brightness, 1
// contrast or 2 saturation. hue: [images], turns. hue_images: [4][blocks], the images whose hue
// shifts before step 0 to 3; those from `images` on are none. grey: [images].
extern "C" void colour_jitter(float* planes, int64_t images, int64_t pixels, const float* factors,
                              const int64_t* order, const float* hue, const int64_t* hue_images,
                              int64_t blocks, const uint8_t* grey, int threads) {
    std::vector<int64_t> hue_step(4 * blocks);
    for (int64_t i = 0; i < 4 * blocks; ++i) hue_step[hue_images[i]] = i / blocks;
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int64_t n = 0; n < images; ++n) {
        float* red = planes + n * pixels;
        const Image image{red, red + images * pixels, red + 2 * images * pixels, pixels};
        for (int64_t step = 0; step < 4; ++step) {
            if (hue_step[n] == step) shift_hue(image, hue[n]);
            if (step == 3) break;
            const int64_t operation = order[3 * n + step];
            const float factor = factors[3 * n + operation], rest = 1 - factor;
            const float offset = operation == 1 ? rest * mean_luma(image) : 0;
            blend(image, factor, offset, operation == 2 ? rest : 0);
        }
        if (grey[n]) blend(image, 0, 0, 1);
    }
}
