; run: raise
; idempotent
; rtol 1e-5
graph @integers(%x: f32[n,16,5,5], %q: u8[n,8]) -> (%y, %z) {
  %s = const 0.05 : f32[]
  %t = const 0.0371 : f32[]
  %zero = const 0 : f32[]
  %low = const 100 : f32[]
  %top = const 255 : f32[]
  %1 = div %x, %s : f32[n,16,5,5] from "quantize"
  %2 = round %1 : f32[n,16,5,5] from "quantize"
  %3 = add %2, %low : f32[n,16,5,5] from "quantize"
  %4 = clip %3, %zero, %top : f32[n,16,5,5] from "quantize"
  %5 = cast %4 : u8[n,16,5,5] from "quantize"
  %6 = cast %5 : f32[n,16,5,5] from "dequantize"
  %7 = sub %6, %low : f32[n,16,5,5] from "dequantize"
  %8 = mul %7, %s : f32[n,16,5,5] from "dequantize"
  %w = const [1,-2,3,4,5,-6,7,8,9,-10,11,12,13,14,15,-128,-1,2,-3,4,5,6,-7,8,9,10,11,-12,13,14,15,127] as i8[2,16] : i8[2,16,1,1]
  %9 = cast %w : f32[2,16,1,1] from "weights"
  %each = const [0.5,0.25] as f32[2] : f32[2,1,1,1]
  %10 = mul %9, %each : f32[2,16,1,1] from "weights"
  %b = const [1,2] : f32[2]
  %11 = conv %8, %10, %b : f32[n,2,5,5] from "conv"
  %12 = relu %11 : f32[n,2,5,5] from "relu"
  %13 = div %12, %t : f32[n,2,5,5] from "quantize_1"
  %14 = round %13 : f32[n,2,5,5] from "quantize_1"
  %15 = clip %14, %zero, %top : f32[n,2,5,5] from "quantize_1"
  %16 = cast %15 : u8[n,2,5,5] from "quantize_1"
  %17 = cast %16 : f32[n,2,5,5] from "dequantize_1"
  %18 = mul %17, %t : f32[n,2,5,5] from "dequantize_1"
  %k = const [3,250] as u8[2] : u8[2,1,1,1]
  %19 = cast %k : f32[2,1,1,1] from "weights_1"
  %20 = mul %19, %s : f32[2,1,1,1] from "weights_1"
  %y = conv %18, %20 {group = 2} : f32[n,2,5,5] from "depthwise"
  %21 = cast %q : f32[n,8] from "dequantize_2"
  %22 = sub %21, %low : f32[n,8] from "dequantize_2"
  %m = const [1,-2,3,4,5,-6,7,8,9,-10,11,12,13,14,15,-128] as i8[8,2] : i8[8,2]
  %23 = cast %m : f32[8,2] from "weights_2"
  %z = matmul %22, %23 : f32[n,2] from "matmul"
}
; --- codes and weights as integers, sums in i32 or, of each channel by itself, in f32; bounds of codes are relu's
graph @integers(%x: f32[n,16,5,5], %q: u8[n,8]) -> (%y, %z) {
  %s = const 0.05 : f32[]
  %5 = codes %x, %s {least = -100, most = 155, nan = -100} : i16[n,16,5,5] from "quantize"
  %6 = const @fold.f51d10a0c9104c3f : i16[2,16,1,1] from "conv"
  %7 = conv %5, %6 {out = i32} : i32[n,2,5,5] from "conv"
  %8 = cast %7 : f32[n,2,5,5] from "conv"
  %9 = const [0.025,0.0125] as f32[2] : f32[2,1,1] from "conv"
  %10 = mul %8, %9 : f32[n,2,5,5] from "conv"
  %11 = const [1,2] as f32[2] : f32[2,1,1] from "conv"
  %12 = add %10, %11 : f32[n,2,5,5] from "conv"
  %t = const 0.0371 : f32[]
  %14 = codes %12, %t {least = 0, most = 255, nan = 0} : u8[n,2,5,5] from "quantize_1", "relu"
  %15 = const [3,250] : f32[2,1,1,1] from "depthwise"
  %16 = conv %14, %15 {group = 2} : f32[n,2,5,5] from "depthwise"
  %17 = const 0.0018549999 : f32[] from "depthwise"
  %y = mul %16, %17 : f32[n,2,5,5] from "depthwise"
  %19 = cast %q : i16[n,8] from "matmul"
  %20 = const 100 : i16[] from "quantize"
  %21 = sub %19, %20 : i16[n,8] from "matmul"
  %22 = const [1,-2,3,4,5,-6,7,8,9,-10,11,12,13,14,15,-128] : i16[8,2] from "matmul"
  %23 = matmul %21, %22 {out = i32} : i32[n,2] from "matmul"
  %z = cast %23 : f32[n,2] from "matmul"
}
