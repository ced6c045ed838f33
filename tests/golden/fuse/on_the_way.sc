; run: fuse
graph @g(%x: u8[n,4,64], %z: f32[n,64], %p: f32[1,n,3,8], %f: f32[]) -> (%y, %v, %u, %o) {
  %w = const @w : f8e4m3fn[64,32]
  %k = const 0.125 : f32[]
  %s = slice %x {starts = [0], ends = [1], axes = [1]} : u8[n,1,64] from "first"
  %r = reshape %s {shape = [n,64]} : u8[n,64] from "rows"
  %1 = cast %r {to = f32} : f32[n,64] from "dequantize"
  %2 = mul %1, %k : f32[n,64] from "scale"
  %3 = matmul %2, %w : f32[n,32] from "product"
  %y = relu %3 : f32[n,32] from "end"
  %4 = tanh %z : f32[n,64] from "computed"
  %5 = erf %z : f32[n,64] from "dear"
  %6 = add %4, %5 : f32[n,64] from "computed"
  %7 = mul %6, %k : f32[n,64] from "scale"
  %v = matmul %7, %w : f32[n,32] from "product"
  %8 = exp %z : f32[n,64] from "dear"
  %9 = erf %8 : f32[n,64] from "dear"
  %u = matmul %9, %w : f32[n,32] from "product"
  %10 = slice %p {starts = [0], ends = [1], axes = [2]} : f32[1,n,1,8] from "q"
  %11 = transpose %10 {perm = [0,2,1,3]} : f32[1,1,n,8] from "q"
  %12 = cast %11 {to = f8e4m3fn} : f8e4m3fn[1,1,n,8] from "low"
  %13 = slice %p {starts = [1], ends = [2], axes = [2]} : f32[1,n,1,8] from "k"
  %14 = transpose %13 {perm = [0,2,1,3]} : f32[1,1,n,8] from "k"
  %15 = cast %14 {to = f8e4m3fn} : f8e4m3fn[1,1,n,8] from "low"
  %16 = slice %p {starts = [2], ends = [3], axes = [2]} : f32[1,n,1,8] from "v"
  %17 = transpose %16 {perm = [0,2,1,3]} : f32[1,1,n,8] from "v"
  %18 = cast %17 {to = f8e4m3fn} : f8e4m3fn[1,1,n,8] from "low"
  %o = attention %12, %15, %18, %f : f32[1,1,n,8] from "attention"
}
; --- what lies in memory is dealt with as it is read; what is computed, or dear, before
graph @g(%x: u8[n,4,64], %z: f32[n,64], %p: f32[1,n,3,8], %f: f32[]) -> (%y, %v, %u, %o) {
  %w = const @w : f8e4m3fn[64,32]
  %y = kernel %x, %w {class = contract} : f32[n,32] from "first", "rows", "dequantize", "scale", "product", "end"
    graph @contract(%2: u8[n,4,64], %3: f8e4m3fn[64,32]) -> (%10 as y0) {
      %4 = slice %2 {starts = [0], ends = [1], axes = [1]} : u8[n,1,64]
      %5 = reshape %4 : u8[n,64]
      %6 = cast %5 : f32[n,64]
      %7 = const 0.125 : f32[]
      %8 = mul %6, %7 : f32[n,64]
      %9 = matmul %8, %3 : f32[n,32]
      %10 = relu %9 : f32[n,32]
    }
  %8 = kernel %z {class = map} : f32[n,64] from "computed", "dear", "scale"
    graph @map(%2: f32[n,64]) -> (%7 as y0) {
      %3 = tanh %2 : f32[n,64]
      %4 = erf %2 : f32[n,64]
      %5 = add %3, %4 : f32[n,64]
      %6 = const 0.125 : f32[]
      %7 = mul %5, %6 : f32[n,64]
    }
  %v = kernel %8, %w {class = contract} : f32[n,32] from "product"
    graph @contract(%2: f32[n,64], %3: f8e4m3fn[64,32]) -> (%4 as y0) {
      %4 = matmul %2, %3 : f32[n,32]
    }
  %10 = kernel %z {class = map} : f32[n,64] from "dear"
    graph @map(%2: f32[n,64]) -> (%4 as y0) {
      %3 = exp %2 : f32[n,64]
      %4 = erf %3 : f32[n,64]
    }
  %u = kernel %10, %w {class = contract} : f32[n,32] from "product"
    graph @contract(%2: f32[n,64], %3: f8e4m3fn[64,32]) -> (%4 as y0) {
      %4 = matmul %2, %3 : f32[n,32]
    }
  %o = kernel %p, %f {class = attention} : f32[1,1,n,8] from "q", "low", "k", "v", "attention"
    graph @attention(%2: f32[1,n,3,8], %3: f32[]) -> (%13 as y0) {
      %4 = slice %2 {starts = [0], ends = [1], axes = [2]} : f32[1,n,1,8]
      %5 = transpose %4 {perm = [0,2,1,3]} : f32[1,1,n,8]
      %6 = cast %5 : f8e4m3fn[1,1,n,8]
      %7 = slice %2 {starts = [1], ends = [2], axes = [2]} : f32[1,n,1,8]
      %8 = transpose %7 {perm = [0,2,1,3]} : f32[1,1,n,8]
      %9 = cast %8 : f8e4m3fn[1,1,n,8]
      %10 = slice %2 {starts = [2], ends = [3], axes = [2]} : f32[1,n,1,8]
      %11 = transpose %10 {perm = [0,2,1,3]} : f32[1,1,n,8]
      %12 = cast %11 : f8e4m3fn[1,1,n,8]
      %13 = attention %6, %9, %12, %3 : f32[1,1,n,8]
    }
}
