; run: simplify
; idempotent
graph @g(%x: f32[2,3], %n: i64[3]) -> (%a, %b, %c, %d, %e, %f) {
  %zero = const 0 : f32[]
  %one = const [1,1,1] : f32[1,3]
  %two = const 2 : f32[]
  %nothing = const 0 : i64[]
  %1 = add %zero, %x : f32[2,3] from "add0"
  %2 = identity %1 : f32[2,3] from "identity"
  %3 = mul %2, %one : f32[2,3] from "mul1"
  %4 = sub %3, %zero : f32[2,3] from "sub0"
  %5 = div %4, %one : f32[2,3] from "div1"
  %6 = cast %5 : f32[2,3] from "cast"
  %a = exp %6 : f32[2,3] from "a"
  %7 = neg %x : f32[2,3] from "neg1"
  %8 = neg %7 : f32[2,3] from "neg2"
  %b = relu %8 : f32[2,3] from "b"
  %9 = relu %a : f32[2,3] from "relu of exp"
  %10 = abs %9 : f32[2,3] from "abs of relu"
  %c = tanh %10 : f32[2,3] from "c"
  %d = pow %x, %two : f32[2,3] from "d"
  %e = add %n, %nothing : i64[3] from "e"
  %12 = concat %x {axis = 0} : f32[2,3] from "concat"
  %f = tanh %12 : f32[2,3] from "f"
}
; --- nothing is left of what changes nothing
graph @g(%x: f32[2,3], %n: i64[3]) -> (%a, %b, %c, %d, %n as e, %f) {
  %a = exp %x : f32[2,3] from "a"
  %b = relu %x : f32[2,3] from "b"
  %c = tanh %a : f32[2,3] from "c"
  %d = mul %x, %x : f32[2,3] from "d"
  %f = tanh %x : f32[2,3] from "f"
}
