; run: scalify quantize settle --recipe fp8 --scale tensor
; rtol 0.2
; blob w rms 0.05
graph @g(%x: f16[4,16], %h: f32[4,16], %t: i64[]) -> (%y) {
  %c = const true : bool[]
  %k = const 200 : f16[]
  %p = mul %x, %k : f16[4,16] from "large"
  %y = loop %t, %c, %h, %p {carried = 1} : f32[4,16] from "loop"
    graph @body(%i: i64[], %h: f32[4,16], %p: f16[4,16]) -> (%on, %next) {
      %on = const true : bool[]
      %w = const @w : f16[16,16]
      %m = matmul %p, %w : f16[4,16] from "product"
      %f = cast %m : f32[4,16] from "wide"
      %next = add %f, %h : f32[4,16] from "next"
    }
}
; --- a narrow value enters as scalify scaled it; what is wide is carried in its own numbers
graph @g [scaled, quantized] (%x: f16[4,16], %h: f32[4,16], %t: i64[]) -> (%y) {
  %k = const 200 : f16[] * 2^7
  %p = mul %x, %k : f16[4,16] * 2^7 from "large"
  %7 = rebalance %p, 8 : f16[4,16] * 2^8 from "large"
  %c = const true : bool[]
  %y = loop %t, %c, %h, %7 {carried = 1} : f32[4,16] from "loop"
    graph @body(%i: i64[], %h: f32[4,16], %p: f16[4,16] * 2^8) -> (%on, %next) {
      %5 = rebalance %p, 6 : f16[4,16] * 2^6 from "product"
      %6 = cast %5 : f8e4m3fn[4,16] * 2^6 from "product"
      %w = const @w : f8e4m3fn[16,16] * 2^-11
      %m = matmul %6, %w : f32[4,16] * 2^-5 from "product"
      %9 = rebalance %m, 3 : f32[4,16] * 2^3 from "product"
      %10 = cast %9 : f16[4,16] * 2^3 from "product"
      %11 = rebalance %10, 5 : f16[4,16] * 2^5 from "product"
      %f = cast %11 : f32[4,16] * 2^5 from "wide"
      %13 = rebalance %h, 5 : f32[4,16] * 2^5 from "next"
      %14 = add %f, %13 : f32[4,16] * 2^5 from "next"
      %next = rebalance %14, 0 : f32[4,16] from "next"
      %on = const true : bool[]
    }
}
