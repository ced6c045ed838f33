; run: fold simplify raise
; rtol 1e-3
graph @g(%h: f16[2,5]) -> (%y, %z) {
  %x = cast %h : f32[2,5]
  %s = const 1.4140625 : f16[]
  %root = cast %s : f32[]
  %one = const 1 : f32[]
  %half = const 0.5 : f32[]
  %1 = div %x, %root : f32[2,5]
  %2 = erf %1 : f32[2,5]
  %3 = add %2, %one : f32[2,5]
  %4 = mul %x, %3 : f32[2,5]
  %y = mul %4, %half : f32[2,5]
  %other = const 1.4149 : f32[]
  %5 = div %x, %other : f32[2,5]
  %6 = erf %5 : f32[2,5]
  %7 = add %6, %one : f32[2,5]
  %8 = mul %x, %7 : f32[2,5]
  %z = mul %8, %half : f32[2,5]
}
; --- a constant of f16 is the nearest that there is; one of f32 that far off is another number
graph @g(%h: f16[2,5]) -> (%y, %z) {
  %x = cast %h : f32[2,5]
  %one = const 1 : f32[]
  %y = gelu %x, %one : f32[2,5]
  %other = const 1.4149 : f32[]
  %7 = div %x, %other : f32[2,5]
  %8 = erf %7 : f32[2,5]
  %9 = add %8, %one : f32[2,5]
  %10 = mul %x, %9 : f32[2,5]
  %half = const 0.5 : f32[]
  %z = mul %10, %half : f32[2,5]
}
