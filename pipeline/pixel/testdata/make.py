"""Makes the golden pictures of package pixel with Pillow and OpenCV: python make.py (in this folder)."""

import glob
import json

import cv2
import numpy as np
from PIL import Image, ImageOps

rng = np.random.default_rng(7)
W, H = 61, 47
y, x = np.mgrid[0:H, 0:W]
base = np.stack([x * 255 / W, y * 255 / H, 127 + 120 * np.sin(x / 3) * np.cos(y / 5)], -1)
base[10:25, 15:40] = [230, 20, 40]
base = np.clip(base + rng.normal(0, 12, base.shape), 0, 255).astype(np.uint8)
im = Image.fromarray(base)
im.save("base.png")

golden = {}
filters = {
    "nearest": Image.NEAREST,
    "triangle": Image.BILINEAR,
    "bicubic": Image.BICUBIC,
    "lanczos": Image.LANCZOS,
}
for w, h in [(20, 15), (61, 20), (30, 47), (128, 99), (33, 90), (7, 3), (1, 1)]:
    for name, f in filters.items():
        golden[f"{name}-{w}x{h}"] = np.asarray(im.resize((w, h), f))
    golden[f"bilinear-{w}x{h}"] = cv2.resize(base, (w, h), interpolation=cv2.INTER_LINEAR)
    if w <= W and h <= H:
        golden[f"area-{w}x{h}"] = cv2.resize(base, (w, h), interpolation=cv2.INTER_AREA)
cols = max(a.shape[1] for a in golden.values())
sheet = np.zeros((sum(a.shape[0] for a in golden.values()), cols, 3), np.uint8)
index, at = {}, 0
for k, a in golden.items():
    sheet[at : at + a.shape[0], : a.shape[1]] = a
    index[k] = at
    at += a.shape[0]
Image.fromarray(sheet).save("resized.png", optimize=True)
json.dump(index, open("resized.json", "w"), indent=0)

# One picture per format; each .png beside is what Pillow reads.
big = im.resize((50, 38), Image.LANCZOS)
for name, sub in [("444", 0), ("422", 1), ("420", 2)]:
    big.save(f"{name}.jpg", quality=90, subsampling=sub)
big.save("progressive.jpg", quality=90, subsampling=2, progressive=True)
big.convert("L").save("gray.jpg", quality=90)
big.convert("CMYK").save("cmyk.jpg", quality=90)
big.save("restart.jpg", quality=70, subsampling=2, restart_marker_blocks=3)
big.save("progressive444.jpg", quality=30, subsampling=0, progressive=True, restart_marker_rows=1)
big.convert("L").save("progressivegray.jpg", quality=98, progressive=True)
big.resize((4, 3)).save("tiny.jpg", quality=95, subsampling=2)
big.save("rgb.jpg", quality=90, keep_rgb=True)
bgr = np.asarray(big)[:, :, ::-1]
cv2.imwrite("440.jpg", bgr, [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_440])
cv2.imwrite("411.jpg", bgr, [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_411, cv2.IMWRITE_JPEG_OPTIMIZE, 1])
for f in sorted(glob.glob("*.jpg")):
    if not f.startswith("exif"):
        Image.open(f).convert("RGB").save(f + ".png", optimize=True)
small = im.resize((9, 7), Image.BOX)
small.save("small.png")
for o in range(1, 9):
    exif = Image.Exif()
    exif[0x0112] = o
    small.resize((16, 8), Image.NEAREST).save(f"exif{o}.jpg", quality=95, subsampling=0, exif=exif)
    ImageOps.exif_transpose(Image.open(f"exif{o}.jpg")).save(f"exif{o}.jpg.png")
small.save("small.bmp")
small.save("small.webp", lossless=True)
small.quantize(16, dither=Image.NONE).save("palette.png")
small.quantize(16, dither=Image.NONE).save("palette.gif")
small.quantize(16, dither=Image.NONE).convert("RGB").save("palette.rgb.png")
alpha = np.dstack([np.asarray(small), (np.arange(63).reshape(7, 9) * 4).astype(np.uint8)])
Image.fromarray(alpha, "RGBA").save("alpha.png")
deep = (np.arange(63, dtype=np.uint32).reshape(7, 9) * 1040).astype(np.uint16)
cv2.imwrite("gray16.png", deep)
cv2.imwrite("rgb16.png", np.dstack([deep, deep[::-1], deep[:, ::-1]]))
